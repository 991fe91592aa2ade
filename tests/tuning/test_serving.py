"""What a bundle's `predict` cannot do with the study's files is said before any training."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.folders import channel_folder, png_folder
from tuning.cli import app
from tuning.config import DataConfig
from tuning.serving import serving_notes


def test_files_that_predict_takes_need_no_line(tmp_path: Path) -> None:
    assert serving_notes(DataConfig(root=str(png_folder(tmp_path / "data")))) == []


def test_a_function_of_the_study_has_no_files() -> None:
    (line,) = serving_notes(DataConfig(build="somewhere:data"))
    assert "(data.build) and have no files. Hint: give it NPY arrays as that function scales them." in line


@pytest.mark.parametrize("command", ["init", "dry run", "check"])
def test_files_of_channels_are_named_before_training(tmp_path: Path, command: str) -> None:
    root, file = channel_folder(tmp_path / "data"), tmp_path / "study.yaml"
    shown = CliRunner().invoke(app, ["init", str(root), "--to", str(file)])
    if command == "dry run":
        shown = CliRunner().invoke(app, ["run", str(file), "--dir", str(tmp_path / "study"), "--dry-run"])
    if command == "check":
        shown = CliRunner().invoke(app, ["check", str(file)])
    assert shown.exit_code == 0, shown.output
    said = " ".join(shown.output.split())
    assert "predict a bundle of this study cannot serve such files: each image has one file per channel" in said
