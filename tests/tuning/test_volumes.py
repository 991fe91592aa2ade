"""Studies on volumes: which windows validate them, what `init` proposes, and the same masks at hand-over."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data import SegmentationData, Split
from components.errors import InvalidInputError
from components.training import SlidingWindow, seed_everything
from tests.folders import volume_folder
from tuning import Study, StudyConfig
from tuning.building import build_model
from tuning.checks import check_study
from tuning.data import load_data
from tuning.errors import StudyConfigError
from tuning.export import export_trial
from tuning.init import init_study
from tuning.study_file import read_study_file
from tuning.validation import sliding_window, validate


def blank(*sizes: tuple[int, ...]) -> SegmentationData:
    """A case of each size in train, with a pixel of foreground; val holds the first."""
    images = [np.zeros((1, *size), np.float32) for size in sizes]
    masks = [np.zeros((1, *size), np.uint8) for size in sizes]
    for mask in masks:
        mask.reshape(-1)[0] = 1
    names = tuple(f"case{index}" for index in range(len(sizes)))
    train, val = Split(images, masks, names, names), Split(images[:1], masks[:1], ("val",), ("val",))
    return SegmentationData("blank", "binary", ("one",), train, val, Split([], [], (), ()))


def settings(**training: Any) -> StudyConfig:
    data = {"build": "components.data.mni152:mni152_slices"}
    return StudyConfig.load({"name": "volumes", "data": data, "training": {"batch": 2, **training}})


@pytest.mark.parametrize(
    ("sizes", "training", "size"),
    [
        ([(64, 64, 64)], {"crop": 32}, None),  # as much as eight crops
        ([(64, 64, 65)], {"crop": 32}, (32, 32, 32)),
        ([(16, 16, 16), (64, 64, 65)], {"crop": [32, 32, 32]}, (32, 32, 32)),  # the largest of all splits decides
        ([(64, 64, 65)], {"crop": 32, "window": "whole"}, None),
        ([(64, 64, 65)], {}, None),
        ([(64, 64, 32)], {"crop": 32, "window": 64}, (64, 64, 64)),
        ([(512, 512)], {"crop": 32}, None),
        ([(512, 512)], {"crop": 32, "window": [64, 128]}, (64, 128)),
    ],
)
def test_volumes_of_more_than_eight_crops_are_validated_by_windows(
    sizes: list[tuple[int, ...]], training: dict[str, Any], size: tuple[int, ...] | None
) -> None:
    expected = None if size is None else SlidingWindow(size, overlap=0.5, batch=8)
    assert sliding_window(blank(*sizes), settings(overlap=0.5, **training)) == expected


def test_a_window_of_other_axes_is_refused_before_the_first_trial(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^training\.window: found \[16, 16\], the images have 3 axes\.$"):
        sliding_window(blank((16, 16, 16)), settings(window=[16, 16]))
    config = read_study_file(init_study(volume_folder(tmp_path / "v"), tmp_path / "v.yaml")).load()
    (data,) = load_data(config.data)
    with pytest.raises(StudyConfigError, match=r"^training\.window: found \[16, 16\], the images have 3 axes\.$"):
        check_study(config.with_overrides({"training.window": [16, 16]}), data)


def test_a_window_that_covers_every_volume_validates_as_whole_volumes_do(tmp_path: Path) -> None:
    config = read_study_file(init_study(volume_folder(tmp_path / "v"), tmp_path / "v.yaml")).load()
    (data,) = load_data(config.data)
    seed_everything(0)
    model = build_model(config, data)
    (whole, masks), (same, again), (_, other) = (
        validate(model, data, config.with_overrides({"training.window": window})) for window in ("whole", 32, 16)
    )
    assert whole.per_case.tolist() == same.per_case.tolist()
    shapes = [mask.shape for mask in data.val.masks]
    pairs = [packed.unpack(shapes) for packed in (masks, again, other)]
    assert all(np.array_equal(a, b) for a, b in zip(pairs[0], pairs[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(pairs[0], pairs[2], strict=True))


def test_init_describes_volumes_and_proposes_crops_that_show_foreground(tmp_path: Path) -> None:
    root = volume_folder(tmp_path / "small", sizes=((20, 18, 16),))
    text = init_study(root, tmp_path / "small.yaml").read_text()
    assert text.startswith(
        "# 6 pairs of image and mask: NII.GZ int16, 1 channel, 20×18×16, RAS, 2×2×2 mm.\n# Mask values: 0 background ("
    )
    config = read_study_file(tmp_path / "small.yaml").load()
    assert (config.training.crop, config.training.foreground, config.training.batch) == (None, 0, 2)
    root = volume_folder(tmp_path / "large", sizes=((90, 100, 40), (100, 80, 60)))
    config = read_study_file(init_study(root, tmp_path / "large.yaml")).load()
    assert (config.training.crop, config.training.foreground) == ([32, 32, 48], 0)  # a fifteenth is foreground
    (data,) = load_data(config.data)
    check_study(config, data)
    assert sliding_window(data, config) == SlidingWindow((32, 32, 48), batch=8)
    for path in (root / "masks").iterdir():
        _thin_out(path)
    config = read_study_file(init_study(root, tmp_path / "sparse.yaml")).load()
    assert config.training.foreground == 0.33


def _thin_out(path: Path) -> None:
    import nibabel  # noqa: PLC0415 - an extra

    stored = nibabel.load(path)
    mask = np.asarray(stored.dataobj).copy()
    mask[:, ::2] = mask[:, :, ::2] = 0
    nibabel.save(nibabel.Nifti1Image(mask, stored.affine), path)


@pytest.mark.usefixtures("ray_session")
def test_a_study_by_windows_is_handed_over_with_the_masks_that_it_recorded(tmp_path: Path) -> None:
    config = {
        "name": "volumes",
        "data": {"root": str(volume_folder(tmp_path / "v"))},
        "training": {"epochs": 2, "batch": 2, "lr": 0.01, "crop": 16, "foreground": 0.5, "window": 16, "overlap": 0.5},
        "search": {"trials": 1, "baselines": False},
        "scheduler": {"type": "none"},
        "resources": {"concurrent": 1},
    }
    Study(StudyConfig.load(config), tmp_path / "study").run()
    check = export_trial(tmp_path / "study", tmp_path / "out").check
    assert (check["equal_masks"], check["flipped"]) == (check["cases"], 0.0)
    assert check["dice"]["again"] == check["dice"]["recorded"] > 0
