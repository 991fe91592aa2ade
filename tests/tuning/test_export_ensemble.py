"""The trials of a search that are best together, handed over as one network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.averaging.selection import select_members
from components.deployment import load_model, read_bundle
from components.deployment.ensemble import Ensemble
from components.errors import InvalidInputError
from components.training.mirrored import logits_of_mean
from tests.folders import png_folder
from tuning import Study, StudyConfig
from tuning.errors import ExportError
from tuning.export import export_ensemble, export_trial


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6), st.floats(-1, 1))
def test_the_chosen_are_never_worse_than_the_best_alone(values: list[float], wanted: float) -> None:
    def score(places: Sequence[int]) -> float:
        return -abs(wanted - sum(values[place] for place in places) / len(places))

    chosen = select_members(len(values), score, most=8)
    assert 1 <= chosen.total() <= 8
    assert score(list(chosen.elements())) >= max(score([place]) for place in range(len(values)))
    assert score([next(iter(chosen))]) == max(score([place]) for place in range(len(values)))


def test_no_candidate_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="there is no candidate"):
        select_members(0, lambda _: 0.0)


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_weights_are_those_of_the_probabilities(mode: str) -> None:
    logits = [torch.randn(2, 3, 4, 4) for _ in range(2)]
    mean = logits_of_mean(logits, mode, [3, 1])
    activate = torch.sigmoid if mode == "binary" else lambda found: found.softmax(1)
    torch.testing.assert_close(activate(mean), (3 * activate(logits[0]) + activate(logits[1])) / 4)
    torch.testing.assert_close(logits_of_mean(logits, mode, [2, 2]), logits_of_mean(logits, mode))


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -1, 2]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    member = {"build": "torch.nn:Identity", "arguments": {}}
    with pytest.raises(InvalidInputError, match=r"weights: found .*; expected one above 0 for each member"):
        Ensemble("binary", [member, member], weights)


@pytest.mark.usefixtures("ray_session")
def test_trials_of_a_search_become_one_bundle(tmp_path: Path) -> None:
    settings = {
        "name": "discs",
        "data": {"root": str(png_folder(tmp_path / "discs", cases=24))},
        "training": {"epochs": 3, "batch": 2, "lr": 0.02, "precision": "fp32", "seed": "per_trial"},
        "search": {"trials": 4, "baselines": False, "space": {"presets": ["loss_weights"]}},
        "scheduler": {"type": "none"},
    }
    Study(StudyConfig.load(settings), tmp_path / "study").run()
    best = export_trial(tmp_path / "study", tmp_path / "best").check["dice"]["fp32"]
    export = export_ensemble(tmp_path / "study", tmp_path / "ensemble")
    assert export.check["dice"]["fp32"] >= best
    assert export.label.startswith("ensemble of trial ")
    bundle = read_bundle(tmp_path / "ensemble")
    arguments = bundle["network"]["arguments"]
    assert len(arguments["weights"]) == len(arguments["members"]) == len(bundle["members"]) >= 2
    network = load_model(tmp_path / "ensemble")
    images = torch.as_tensor(np.random.default_rng(0).normal(size=(1, 1, 32, 32)), dtype=torch.float32)
    assert network(images).shape == (1, 1, 32, 32)


@pytest.mark.usefixtures("ray_session")
def test_one_trial_is_no_ensemble(tmp_path: Path) -> None:
    settings = {
        "name": "discs",
        "data": {"root": str(png_folder(tmp_path / "discs"))},
        "training": {"epochs": 1, "batch": 2, "precision": "fp32"},
        "search": {"trials": 1, "baselines": False},
        "scheduler": {"type": "none"},
    }
    Study(StudyConfig.load(settings), tmp_path / "study").run()
    with pytest.raises(ExportError, match=r"--ensemble: .* has 1 trained trial; an ensemble needs two at least"):
        export_ensemble(tmp_path / "study", tmp_path / "ensemble")
    assert not (tmp_path / "ensemble").exists()
