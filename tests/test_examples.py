"""The study files in examples/: they load, and on the data that they are for they train, and hand over a model."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from components.data.mni152 import mni152_slices
from tests.commands import segtune_here
from tuning import Study, StudyConfig
from tuning.config import set_by_path
from tuning.export import export_trial
from tuning.record import StudyDirectory
from tuning.study_file import read_study_file

nibabel = pytest.importorskip("nibabel", reason="needs the extra `medical`")
for extra in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(extra, reason="needs the extra `export`")
EXAMPLES = Path(__file__).parent.parent / "examples"
DATA = os.environ.get("SEGTUNE_DATA")
FOLDERS = {"hippocampus": "msd_hippocampus", "vessels": "chase_db1_vessels", "nuclei": "dsb2018_nuclei"}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_valid_and_named_like_its_file(file: Path) -> None:
    assert read_study_file(file).load().name == file.stem


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Callable[..., Path]:
    """Trains two epochs of one trial of an example; returns the study's directory."""
    del ray_session

    def train(example: str, **changes: Any) -> Path:
        settings = read_study_file(EXAMPLES / f"{example}.yaml").load().model_dump()
        usual = {"training.epochs": 2, "search.trials": 1, "search.baselines": False, "scheduler.type": "none"}
        for path, value in (usual | changes).items():
            set_by_path(settings, path, value)
        folder = tmp_path_factory.mktemp(example) / "study"
        Study(StudyConfig.load(settings), folder).run()
        rows = StudyDirectory(folder).trial(0).epochs()
        assert sorted(rows) == [1, 2]
        assert rows[2]["train_loss"] < rows[1]["train_loss"]
        assert 0 < rows[2]["val_dice"] < 1
        return folder

    return train


@pytest.mark.skipif(DATA is None, reason="SEGTUNE_DATA is not set: no real data sets here")
@pytest.mark.parametrize("example", FOLDERS)
def test_an_example_goes_from_its_images_to_a_bundle_to_masks(
    tmp_path: Path, example: str, trained: Callable[..., Path]
) -> None:
    """On a few cases; the masks that `segtune predict` writes beside the images have the Dice that the study has."""
    root = Path(str(DATA)) / FOLDERS[example]
    split = json.loads((root / "split.json").read_text())
    few = {"train": split["train"][:6], "val": split["val"][:3]}
    (tmp_path / "few.json").write_text(json.dumps(few))
    study = trained(example, **{"data.root": str(root), "data.split": str(tmp_path / "few.json")})
    bundle, masks = tmp_path / "bundle", tmp_path / "masks"
    export = export_trial(study, bundle, formats=("onnx",))
    assert export.parity
    assert export.parity["flipped"] <= 1e-4
    images = [str(next((root / "images").glob(f"{name}.*"))) for name in few["val"]]
    predicted = segtune_here("predict", str(bundle), *images, "--out", str(masks))
    assert predicted.returncode == 0, predicted.stderr

    classes = max(2, len(json.loads((bundle / "bundle.json").read_text())["output"]["classes"]))
    pairs = [(stored(masks, name), stored(root / "masks", name, binary=classes == 2)) for name in few["val"]]
    assert {mask.shape == truth.shape for mask, truth in pairs} == {True}
    assert dice_of(pairs, classes) == pytest.approx(best_dice(study), abs=5e-3)  # the study's is of bf16


def test_the_brain_goes_from_its_slices_to_a_bundle_to_masks(tmp_path: Path, trained: Callable[..., Path]) -> None:
    pytest.importorskip("nilearn", reason="needs the extra `brain`")
    study = trained("brain")
    export_trial(study, tmp_path / "bundle", formats=("onnx",))
    val, images = mni152_slices().val, tmp_path / "images"
    images.mkdir()
    for case, image in zip(val.cases, val.images, strict=True):
        np.save(images / f"{case}.npy", image)
    predicted = segtune_here("predict", str(tmp_path / "bundle"), str(images), "--out", str(tmp_path / "masks"))
    assert predicted.returncode == 0, predicted.stderr
    pairs = [(stored(tmp_path / "masks", case), mask) for case, mask in zip(val.cases, val.masks, strict=True)]
    assert dice_of(pairs, 3) == pytest.approx(best_dice(study), abs=5e-3)


def stored(folder: Path, name: str, *, binary: bool = False) -> npt.NDArray[np.int64]:
    file = next(folder.glob(f"{name}.*"))
    found = np.asarray(Image.open(file) if file.suffix == ".png" else nibabel.load(file).dataobj)
    return (found > 0).astype(np.int64) if binary else found.astype(np.int64)


def dice_of(pairs: list[tuple[Any, Any]], classes: int) -> float:
    """Mean over cases, then over foreground classes."""
    by_class = []
    for label in range(1, classes):
        sizes = [((mask == label).sum() + (truth == label).sum(), mask, truth) for mask, truth in pairs]
        by_class.append(np.mean([2 * ((m == label) & (t == label)).sum() / size for size, m, t in sizes if size]))
    return float(np.mean(by_class))


def best_dice(study: Path) -> float:
    line = StudyDirectory(study).trial(0).best_checkpoint()
    assert line is not None
    return float(line["dice"])
