"""Handing over finalists: the best, each, and the seeds of the best as one network."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch

from components.deployment import load, load_model, read_bundle
from tests.commands import segtune_here
from tests.folders import png_folder
from tuning import Study, StudyConfig
from tuning.errors import ExportError
from tuning.export import export_ensemble, export_finalist, export_finalists
from tuning.record import StudyDirectory, open_journal
from tuning.record.retraining import retrainings

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {
        "name": "discs",
        "data": {"root": str(png_folder(tmp_path_factory.mktemp("data") / "discs"))},
        "training": {"epochs": 2, "batch": 2, "lr": 0.03, "precision": "fp32"},
        "search": {"trials": 2},
        "scheduler": {"type": "none"},
    }
    folder = tmp_path_factory.mktemp("studies") / "discs"
    searched = Study(StudyConfig.load(settings), folder)
    searched.run()
    searched.finalists(top=1, seeds=2)
    return folder


def validated(study: Path) -> dict[str, dict[int, float]]:
    """Best validation Dice of each setting and seed."""
    again = StudyDirectory(study).finalists
    config = again.read()["settings"]["retrain"]
    entries = {entry.number: entry for entry in open_journal(again).trials()}
    found: dict[str, dict[int, float]] = {}
    for item in retrainings(config["settings"], config["seeds"]):
        best = entries[item.number].best
        assert best is not None
        found.setdefault(item.setting, {})[item.seed] = best[1]
    return found


def best_setting(study: Path) -> tuple[str, dict[int, float]]:
    return max(validated(study).items(), key=lambda pair: fmean(pair[1].values()))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_best_finalist_is_chosen_by_validation_and_its_card_has_its_test_score(study: Path, tmp_path: Path) -> None:
    export = export_finalist(study, tmp_path / "out")
    setting, seeds = best_setting(study)
    seed = max(seeds, key=lambda seed: seeds[seed])
    assert export.label == f"{setting}, seed {seed}"
    assert export.check["dice"]["recorded"] == seeds[seed]
    assert read_bundle(tmp_path / "out")["seed"] == seed
    again = StudyDirectory(study).finalists
    number = next(entry.number for entry in open_journal(again).trials() if entry.baseline == export.label)
    tested = fmean(row["dice"] for row in rows_of(again.trial(number).held_out))
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["test"]
    assert found["metrics"]["dice"]["mean"] == pytest.approx(tested)
    assert (
        "On the test split, 2 cases of 2 group(s) that chose nothing"
        in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    )


def test_every_finalist_has_a_bundle_and_what_is_there_is_left_alone(study: Path, tmp_path: Path) -> None:
    exports = list(export_finalists(study, tmp_path / "all"))
    assert len(exports) == len(validated(study)) == 2
    assert {path.name for path in (tmp_path / "all").iterdir()} == {name.replace(" ", "_") for name in validated(study)}
    assert list(export_finalists(study, tmp_path / "all")) == []


def test_an_ensemble_averages_the_probabilities_of_the_seeds(study: Path, tmp_path: Path) -> None:
    export = export_ensemble(study, tmp_path / "out", ("onnx",))
    setting, seeds = best_setting(study)
    assert export.label == f"{setting}, ensemble of 2 seeds"
    assert [member["val_dice"] for member in read_bundle(tmp_path / "out")["members"]] == list(seeds.values())
    assert f"| {setting}, seed {next(iter(seeds))} |" in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert export.parity is not None
    assert export.parity["flipped"] <= 1e-4

    ensemble = load_model(tmp_path / "out")
    image = np.load(tmp_path / "out" / "golden_input.npy")
    with torch.inference_mode():
        given = torch.from_numpy(image)
        single = torch.stack([member(given).sigmoid() for member in ensemble.members])
        torch.testing.assert_close(ensemble(given).sigmoid(), single.mean(dim=0), atol=1e-5, rtol=0)
    expected = np.load(tmp_path / "out" / "golden_output.npy")
    np.testing.assert_allclose(load(tmp_path / "out").logits(image), expected, atol=1e-3)


@pytest.mark.parametrize(("option", "what"), [("--finalist", "seed {seed}"), ("--ensemble", "ensemble of 2 seeds")])
def test_the_command_hands_over_the_finalist_that_is_asked_for(
    study: Path, tmp_path: Path, option: str, what: str
) -> None:
    said = segtune_here("export", str(study), "--to", str(tmp_path / "out"), option, "--format", "safetensors")
    assert said.returncode == 0, said.stderr
    setting, seeds = best_setting(study)
    label = f"{setting}, {what.format(seed=max(seeds, key=lambda seed: seeds[seed]))}"
    assert said.stdout.startswith(f"exported  {label} ") or f"exported  baseline {label}" in said.stdout
    assert read_bundle(tmp_path / "out")["tiling"]["blend"] == "centre"  # without ONNX too


def test_the_command_hands_over_all_finalists(study: Path, tmp_path: Path) -> None:
    arguments = ("export", str(study), "--to", str(tmp_path / "all"), "--all-finalists", "--format", "safetensors")
    said = segtune_here(*arguments, "--threshold", "tuned")
    assert said.returncode == 0, said.stderr
    bundles = sorted((tmp_path / "all").iterdir())
    assert len(bundles) == said.stdout.count("exported  ") == 2
    for output in (read_bundle(bundle)["output"] for bundle in bundles):
        assert output["threshold"] == list(output["tuned_threshold"]["tuned"].values())


def test_a_study_without_finalists_is_refused(tmp_path: Path, study: Path) -> None:
    with pytest.raises(ExportError, match=r"has no finalists\. Hint: segtune finalists"):
        export_finalist(StudyDirectory(study).finalists.root, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
