"""The README's Python runs as it stands, and its study file is valid."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from components.data import augmented
from components.losses import LossManager
from components.training import train_epoch
from tests.training_toys import batch, network
from tuning import StudyConfig
from tuning.study_file import read_study_file

ROOT = Path(__file__).parent.parent


def blocks(language: str, page: str = "README.md") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for code in blocks("python"):
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own
    assert len(list((tmp_path / "checkpoints").glob("model_best_epoch_*"))) == 3


def test_the_python_of_the_page_on_checkpoints_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for code in blocks("python", "docs/how_to/checkpoints.md"):
        exec(compile(code, "checkpoints.md", "exec"), {})  # noqa: S102 - our own
    assert capsys.readouterr().out.startswith("5 {'val_dice': 0.5} checkpoints/unet_best_epoch_005_")
    assert len(list((tmp_path / "checkpoints").glob("unet_best_epoch_*"))) == 3
    assert len(list((tmp_path / "resumable").glob("model_epoch_epoch_*"))) == 3


def test_the_python_of_the_page_on_averages_runs(capsys: pytest.CaptureFixture[str]) -> None:
    for code in blocks("python", "docs/how_to/average_weights.md"):
        exec(compile(code, "average_weights.md", "exec"), {})  # noqa: S102 - our own
    assert capsys.readouterr().out == "torch.Size([2, 1, 8, 8])\n"


def test_the_python_of_the_page_on_ones_own_code_trains() -> None:
    known: dict[str, Any] = {}
    for code in blocks("python", "docs/how_to/your_own_code.md"):
        exec(compile(code, "your_own_code.md", "exec"), known)  # noqa: S102 - our own
    batches = augmented([batch(4)], known["augmentation"](), seed=0, epoch=1)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    row = train_epoch(model, LossManager.create_loss_function(), optimizer, batches, epoch=1, step=known["step"]())
    assert row["loss_consistency"] > 0


def test_the_python_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for code in blocks("python", "docs/guides/enhanced_training.md"):
        exec(compile(code, "enhanced_training.md", "exec"), {})  # noqa: S102 - our own
    assert (tmp_path / "fitted" / "history.html").exists()


def test_the_study_files_shown_are_valid(tmp_path: Path) -> None:
    shown = tmp_path / "study.yaml"
    shown.write_text(blocks("yaml")[0])
    readme, example = (read_study_file(path).load() for path in (shown, ROOT / "examples" / "brain.yaml"))
    assert (readme.training.epochs, readme.search.trials) == (example.training.epochs, example.search.trials)


def test_every_setting_is_described() -> None:
    assert "](reference/study_file.md)" in (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "reference" / "study_file.md").read_text(encoding="utf-8")
    for section, field in StudyConfig.model_fields.items():
        for setting in getattr(field.annotation, "model_fields", {}):
            assert f"`{section}.{setting}`" in page


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.rglob("docs/**/*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_constraint_is_an_exact_pin() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert "torch==2.13.0" in pins
    assert all(re.fullmatch(r"[a-z0-9.-]+==[^=]+", pin) for pin in pins if not pin.startswith("#"))
