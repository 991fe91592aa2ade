"""The study files in examples/: they load, and on the data that they are for they train."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.test_cli import segtune
from tuning.study_file import read_study_file

EXAMPLES = Path(__file__).parent.parent / "examples"
DATA = os.environ.get("SEGTUNE_DATA")
FOLDERS = {"hippocampus": "msd_hippocampus", "vessels": "chase_db1_vessels", "nuclei": "dsb2018_nuclei"}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_valid_and_named_like_its_file(file: Path) -> None:
    assert read_study_file(file).load().name == file.stem


@pytest.mark.skipif(DATA is None, reason="SEGTUNE_DATA is not set: no real data sets here")
@pytest.mark.parametrize(("example", "folder"), FOLDERS.items())
def test_an_example_trains_on_its_data(tmp_path: Path, example: str, folder: str) -> None:
    """Two epochs of one trial on a few cases."""
    root = Path(str(DATA)) / folder
    split = json.loads((root / "split.json").read_text())
    few = {"train": split["train"][:6], "val": split["val"][:3]}
    (tmp_path / "few.json").write_text(json.dumps(few))
    short = ("training.epochs=2", "search.trials=1", "search.baselines=false", "scheduler.type=none")
    given = (f"data.root={root}", f"data.split={tmp_path / 'few.json'}", *short)
    options = [part for setting in given for part in ("-s", setting)]
    result = segtune("run", str(EXAMPLES / f"{example}.yaml"), *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"{folder}: 6 train, 3 val, 0 test" in result.stderr
    (row,) = json.loads(segtune("report", str(tmp_path / "studies" / example), "--format", "json").stdout)
    assert 0 < row["best_dice"] < 1
