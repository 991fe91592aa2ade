"""The study files in examples/: they load, and on the data that they are for they train."""

import json
import os
from pathlib import Path

import pytest

from tuning import Study, StudyConfig
from tuning.config import set_by_path
from tuning.record import StudyDirectory
from tuning.study_file import read_study_file

EXAMPLES = Path(__file__).parent.parent / "examples"
DATA = os.environ.get("SEGTUNE_DATA")
FOLDERS = {"hippocampus": "msd_hippocampus", "vessels": "chase_db1_vessels", "nuclei": "dsb2018_nuclei"}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_valid_and_named_like_its_file(file: Path) -> None:
    assert read_study_file(file).load().name == file.stem


@pytest.mark.skipif(DATA is None, reason="SEGTUNE_DATA is not set: no real data sets here")
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(("example", "folder"), FOLDERS.items())
def test_an_example_trains_on_its_data(tmp_path: Path, example: str, folder: str) -> None:
    """Two epochs of one trial on a few cases."""
    root = Path(str(DATA)) / folder
    split = json.loads((root / "split.json").read_text())
    few = {"train": split["train"][:6], "val": split["val"][:3]}
    (tmp_path / "few.json").write_text(json.dumps(few))
    settings = read_study_file(EXAMPLES / f"{example}.yaml").load().model_dump()
    for path, value in {
        "data.root": str(root),
        "data.split": str(tmp_path / "few.json"),
        "training.epochs": 2,
        "search.trials": 1,
        "search.baselines": False,
        "scheduler.type": "none",
    }.items():
        set_by_path(settings, path, value)
    Study(StudyConfig.load(settings), tmp_path / "study").run()
    rows = StudyDirectory(tmp_path / "study").trial(0).epochs()
    assert sorted(rows) == [1, 2]
    assert rows[2]["train_loss"] < rows[1]["train_loss"]
    assert 0 < rows[2]["val_dice"] < 1
