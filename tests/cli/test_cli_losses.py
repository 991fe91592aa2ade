"""`segtune losses`: the study's own loss beside baselines and presets, on its masks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import small_settings

ROOT = Path(__file__).parent.parent.parent


def losses(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    command = [sys.executable, "-c", "from tuning.cli import main; main()", "losses", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("losses")
    (path / "study.yaml").write_text(yaml.safe_dump(small_settings(loss={"preset": "thin_structures"})))
    return path


def test_the_studys_loss_stands_beside_baselines_and_presets(folder: Path) -> None:
    arguments = ("study.yaml", "--preset", "imbalanced", "--format", "json", "--plot", "out.html")
    result = losses(*arguments, cwd=folder)
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [row["loss"] for row in rows] == ["study", "bce", "dice", "dice_bce", "dice_focal", "imbalanced"]
    assert rows[0]["share_skeleton_recall_half"] > 0
    assert result.stderr == "written: out.html\n"
    assert "dice_focal" in (folder / "out.html").read_text(encoding="utf-8")


def test_an_unknown_preset_is_named_without_a_line_of_the_file(folder: Path) -> None:
    result = losses("study.yaml", "--preset", "thin_structure", cwd=folder)
    assert result.returncode == 2
    assert result.stderr.startswith("error: preset 'thin_structure': loss: preset: found")
    assert "did you mean 'thin_structures'" in result.stderr
    assert result.stdout == ""


def test_an_unfit_loss_of_the_study_is_named_with_its_line(folder: Path) -> None:
    result = losses("study.yaml", "-s", "loss.preset=multiclass_organs", cwd=folder)
    assert result.returncode == 2
    assert "preset 'multiclass_organs' is not for mode 'binary'" in result.stderr
    assert "Traceback" not in result.stderr
