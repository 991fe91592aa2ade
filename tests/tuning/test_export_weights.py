"""Which weights of a trial are handed over: best, last, or an average."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.deployment import read_bundle
from tests.folders import png_folder
from tuning import Study, StudyConfig
from tuning.errors import ExportError
from tuning.export import export_trial
from tuning.record import StudyDirectory

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return png_folder(tmp_path_factory.mktemp("data") / "discs")


def run_study(data: Path, folder: Path, lr: float = 0.03, epochs: int = 4, **checkpoint: Any) -> Path:
    settings = {
        "name": "discs",
        "data": {"root": str(data)},
        "training": {"epochs": epochs, "batch": 2, "lr": lr, "precision": "fp32"},
        "search": {"trials": 1, "baselines": False},
        "scheduler": {"type": "none"},
        "checkpoint": checkpoint,
    }
    Study(StudyConfig.load(settings), folder).run()
    return folder


@pytest.fixture(scope="module")
def study(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that compares the averages of its trial and keeps all checkpoints."""
    folder = tmp_path_factory.mktemp("studies") / "discs"
    return run_study(data, folder, compare_averages=True, swa_start=0.25, max_checkpoints=10)


def test_the_last_weights_are_those_of_the_last_checkpoint(study: Path, tmp_path: Path) -> None:
    export = export_trial(study, tmp_path / "out", average="last")
    lines = StudyDirectory(study).trial(0).checkpoints()
    last = max(lines, key=lambda line: line["epoch"])
    assert (export.label, export.epoch) == ("trial 0, last", last["epoch"])
    assert export.check["dice"]["recorded"] == last["dice"]
    ours, theirs = (
        load_file(tmp_path / "out" / "model.safetensors"),
        load_file(study / last["path"] / "model.safetensors"),
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_an_average_that_the_trial_kept_scores_what_the_study_compared(
    study: Path, tmp_path: Path, average: str
) -> None:
    export = export_trial(study, tmp_path / "out", average=average)
    row = StudyDirectory(study).trial(0).epochs()[export.epoch]
    assert export.label == f"trial 0, {average}"
    assert export.check["dice"]["fp32"] == pytest.approx(row[f"dice_of_{average}"], abs=1e-6)
    assert export.check["dice"]["recorded"] is None
    assert (
        export.lines()[1] == f"Dice      {export.check['dice']['fp32']:.4f} in fp32 on 2 validation cases, measured now"
    )
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "never recorded, now" in card
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["recorded"] is None


def test_a_soup_that_gains_is_better_than_the_best_checkpoint(data: Path, tmp_path: Path) -> None:
    study = run_study(data, tmp_path / "study", lr=0.3, epochs=6, max_checkpoints=10)  # leaps about: its mean is better
    best = max(line["dice"] for line in StudyDirectory(study).trial(0).checkpoints())
    export = export_trial(study, tmp_path / "out", average="soup")
    assert export.check["dice"]["again"] > best


def test_a_soup_that_gains_nothing_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"--average soup: .* gains nothing on validation"):
        export_trial(study, tmp_path / "out", average="soup")
    assert list(tmp_path.iterdir()) == []


def test_an_average_that_was_never_kept_is_refused_with_the_setting_that_keeps_it(data: Path, tmp_path: Path) -> None:
    study = run_study(data, tmp_path / "study")
    with pytest.raises(ExportError, match=r"--average ema: trial 0 kept no such average\. Hint: .*averaging: ema"):
        export_trial(study, tmp_path / "out", average="ema")
    with pytest.raises(ExportError, match="--average: found 'mean'; use one of best, last, ema, swa, soup"):
        export_trial(study, tmp_path / "out", average="mean")
    assert {path.name for path in tmp_path.iterdir()} == {"study"}


def test_an_average_that_the_study_trained_for_is_its_best_checkpoint(data: Path, tmp_path: Path) -> None:
    study = run_study(data, tmp_path / "study", averaging="swa", swa_start=0.25)
    own, best = (export_trial(study, tmp_path / name, average=name) for name in ("swa", "best"))
    assert own.check["dice"]["recorded"] == best.check["dice"]["recorded"] is not None
    assert (own.folder / "model.safetensors").read_bytes() == (best.folder / "model.safetensors").read_bytes()


def test_masks_are_cut_where_validation_was_best_if_asked_for(study: Path, tmp_path: Path) -> None:
    export = export_trial(study, tmp_path / "out", threshold="tuned")
    output = read_bundle(tmp_path / "out")["output"]
    assert export.threshold == output["threshold"] == list(export.check["threshold"]["tuned"].values())
    assert "is used, the best on validation, which it was tuned on" in "\n".join(export.lines())
    with pytest.raises(ExportError, match="--threshold: found 'best'; use one of half, tuned"):
        export_trial(study, tmp_path / "again", threshold="best")  # type: ignore[arg-type]
