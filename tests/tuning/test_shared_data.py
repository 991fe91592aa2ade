"""Data are decoded once a node; trials read them in one memory, which none can write to."""

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data import SegmentationData, Split
from tests.folders import png_folder, tiff_folder, volume_folder
from tuning import Study, StudyConfig
from tuning.data import load_data

Make = Callable[..., StudyConfig]
_OF_A_CASE = 1000  # bytes beside its pixels


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("ray_session")
def test_trials_at_once_read_one_memory_that_they_cannot_write_to(study_config: Make, tmp_path: Path) -> None:
    seen, decoded = tmp_path / "seen", tmp_path / "decoded"
    config = study_config(
        data={"build": "tests.toys:watched_data", "arguments": {"seen": str(seen), "decoded": str(decoded)}},
        model={"build": "tests.toys:network", "arguments": {"seconds": 0.05}},  # so that both run at once
        training={"epochs": 2, "batch": 4},
        search={"trials": 2, "baselines": False, "space": {"presets": ["loss_weights"]}},
        scheduler={"type": "none"},
        resources={"concurrent": 2},
    )
    Study(config, tmp_path / "study").run()
    (driver,) = decoded.read_text().split()  # decoded once
    lines = [json.loads(line) for line in seen.read_text().splitlines()]
    in_trials = [line for line in lines if line["process"] != int(driver)]
    assert len({line["process"] for line in in_trials}) == 2
    first, *others = in_trials
    assert None not in first["places"]
    assert len({tuple(place) for place in first["places"]}) == len(first["places"]) == 64
    assert all(line["places"] == first["places"] for line in others)
    assert [line["refused"] for line in in_trials] == [64] * len(in_trials)


@pytest.mark.parametrize(
    ("write", "settings"),
    [
        (png_folder, {}),
        (png_folder, {"folds": 3}),
        (tiff_folder, {"classes": ["background", "red", "blue"], "ignore": 255}),
        (volume_folder, {"classes": ["background", "bright", "dark"], "normalize": "zscore_nonzero"}),
    ],
)
def test_a_folders_arrays_are_handed_over_as_they_lie_and_folds_share_them(
    study_config: Make, tmp_path: Path, write: Callable[[Path], Path], settings: dict[str, Any]
) -> None:
    folds = load_data(study_config(data={"build": None, "root": str(write(tmp_path / "data")), **settings}).data)
    handed: list[pickle.PickleBuffer] = []
    copied = pickle.dumps(folds, protocol=5, buffer_callback=handed.append)
    assert len(copied) < _OF_A_CASE * cases_of(folds[0])
    assert sum(buffer.raw().nbytes for buffer in handed) == sum(map(nbytes_of, folds[0].splits.values()))


def test_arrays_that_do_not_lie_in_one_piece_are_made_so() -> None:
    wide = np.arange(32, dtype=np.float32).reshape(1, 4, 8)
    mask = (wide > 1).astype(np.uint8)
    whole = Split([wide], [mask], ("a",), ("a",))
    view = Split([wide[..., ::2]], [mask[..., ::2]], ("a",), ("a",))
    assert np.shares_memory(whole.images[0], wide)
    assert view.images[0].flags.c_contiguous
    assert np.array_equal(view.images[0], wide[..., ::2])


def cases_of(data: SegmentationData) -> int:
    return sum(map(len, data.splits.values()))


def nbytes_of(split: Split) -> int:
    return sum(image.nbytes + mask.nbytes for image, mask in zip(split.images, split.masks, strict=True))
