"""What a bundle's `predict` cannot do with the study's files is said before any training."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tests.conftest import small_settings
from tests.folders import channel_folder, png_folder, volume_folder
from tuning.cli import app
from tuning.config import DataConfig
from tuning.serving import serving_notes


def test_files_that_predict_takes_need_no_line(tmp_path: Path) -> None:
    for make in (png_folder, channel_folder):
        assert serving_notes(DataConfig(root=str(make(tmp_path / make.__name__)))) == []


def test_a_function_of_the_study_has_no_files() -> None:
    (line,) = serving_notes(DataConfig(build="somewhere:data"))
    assert "(data.build) and have no files: a bundle takes .npy files, scaled as they are." in line


def test_volumes_need_nibabel(tmp_path: Path) -> None:
    (line,) = serving_notes(DataConfig(root=str(volume_folder(tmp_path / "data"))))
    assert line == "predict   a bundle of this study needs nibabel for such files, which segtune[medical] installs."


@pytest.mark.parametrize("command", ["run --dry-run", "check"])
def test_it_is_said_before_training(tmp_path: Path, command: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(small_settings()))
    name, *options = command.split()
    shown = CliRunner().invoke(app, [name, str(file), *options])
    assert shown.exit_code == 0, shown.output
    assert "predict the data come from a function (data.build)" in " ".join(shown.output.split())
