"""Small studies in Ray: constraints, several objectives, points to try first, earlier studies, a grid, kills."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from search_spaces import Space
from tuning import Study, StudyConfig
from tuning.drawing import Drawing
from tuning.errors import StudyConfigError, StudyNotFoundError
from tuning.record import Journal, StudyDirectory, TrialEntry, open_journal
from tuning.record.layout import TrialDirectory

pytestmark = pytest.mark.usefixtures("ray_session")
Make = Callable[..., StudyConfig]
LR = {"parameters": {"training.lr": {"float": [0.01, 0.1]}}}


def search(**settings: Any) -> dict[str, Any]:
    return {"trials": 3, "baselines": False, "space": LR, **settings}


def drawn(directory: Path) -> list[TrialEntry]:
    return [entry for entry in open_journal(StudyDirectory(directory)).trials() if entry.number >= 0]


def theirs(directory: Path) -> list[optuna.trial.FrozenTrial]:
    storage = open_journal(StudyDirectory(directory))._storage
    return optuna.load_study(study_name="small", storage=storage).trials


def test_a_broken_constraint_is_told_and_shown(study_config: Make, folder: Path) -> None:
    bounds = ["worst class Dice >= 0.99", "seconds <= 600"]
    Study(study_config(search=search(constraints=bounds), scheduler={"type": "none"}), folder).run()
    for entry, trial in zip(drawn(folder), theirs(folder), strict=True):
        assert entry.best is not None
        assert entry.state == "complete"
        assert trial.constraints["worst_class_dice"] == pytest.approx(0.99 - entry.best[1])
        assert -600 < trial.constraints["seconds"] < 0
        assert entry.infeasible == (f"worst_class_dice {entry.best[1]:.4g}, must be >= 0.99",)
        assert entry.cause.endswith(f"; infeasible: {entry.infeasible[0]}")


def test_nsga2_is_told_every_objective_also_of_pruned_trials(study_config: Make, folder: Path) -> None:
    objectives = {"val_dice": "maximize", "seconds": "minimize"}
    settings = search(sampler="nsga2", startup_trials=2, trials=6, objectives=objectives)
    Study(study_config(search=settings, scheduler={"type": "asha", "grace": 1, "reduction": 2}), folder).run()
    entries, told = drawn(folder), theirs(folder)
    assert "pruned" in {entry.state for entry in entries}
    assert {trial.state.name for trial in told} == {"COMPLETE"}
    for entry, trial in zip(entries, told, strict=True):
        assert entry.best is not None
        rows = TrialDirectory(folder / "trials" / f"{entry.number:04d}", folder).epochs().values()
        assert trial.values == [entry.best[1], pytest.approx(sum(row["seconds"] for row in rows))]


def test_an_objective_that_is_not_recorded_fails_the_trial(study_config: Make, folder: Path) -> None:
    settings = search(trials=1, objectives={"val_dice": "maximize", "beauty": "maximize"})
    Study(study_config(search=settings), folder).run()
    assert [(entry.state, entry.cause) for entry in drawn(folder)] == [("failed", "an objective was not recorded")]


def test_points_are_tried_first(study_config: Make, folder: Path) -> None:
    points = [{"training.lr": 0.05}, {"training.lr": 0.02}]
    Study(study_config(search=search(try_first=points)), folder).run()
    assert [entry.overrides for entry in drawn(folder)][:2] == points


def test_a_point_outside_the_space_is_refused_before_the_first_trial(study_config: Make, folder: Path) -> None:
    points = [{"training.lr": 0.5}, {"training.rl": 0.05}]
    with pytest.raises(StudyConfigError) as caught:
        Study(study_config(search=search(try_first=points)), folder).run()
    assert str(caught.value).splitlines() == [
        "search.try_first.0: training.lr: found 0.5, it is float 0.01 to 0.1.",
        "search.try_first.1: training.rl: is no parameter of this space. Hint: did you mean training.lr?",
    ]
    assert not folder.exists() or not StudyDirectory(folder).exists()


def test_a_grid_ends_when_every_setting_was_tried(study_config: Make, folder: Path) -> None:
    space = {"parameters": {"training.lr": {"choice": [0.01, 0.1]}, "training.batch": {"int": [2, 4], "step": 2}}}
    Study(study_config(search=search(sampler="grid", trials=50, space=space)), folder).run()
    tried = [(entry.overrides["training.lr"], entry.overrides["training.batch"]) for entry in drawn(folder)]
    assert sorted(tried) == [(0.01, 2), (0.01, 4), (0.1, 2), (0.1, 4)]


def test_a_grid_over_an_infinite_space_is_refused(study_config: Make, folder: Path) -> None:
    with pytest.raises(StudyConfigError, match="a grid needs steps"):
        Study(study_config(search=search(sampler="grid")), folder).run()


def test_earlier_studies_are_learned_from_where_they_lie_in_the_space(
    study_config: Make, folder: Path, tmp_path: Path
) -> None:
    before = tmp_path / "before"
    wide = {"parameters": {"training.lr": {"float": [0.001, 0.1]}, "training.batch": {"choice": [2, 4]}}}
    Study(study_config(search=search(trials=6, space=wide)), before).run()
    inside = [entry for entry in drawn(before) if entry.overrides["training.lr"] >= 0.01]
    assert 0 < len(inside) <= 6

    config = study_config(search=search(trials=2, warm_start=[str(before)]))
    Study(config, folder).run()
    journal = open_journal(StudyDirectory(folder))
    earlier = journal.earlier()
    assert [trial.params for trial in earlier] == [{"training.lr": entry.overrides["training.lr"]} for entry in inside]
    assert [trial.value for trial in earlier] == [entry.best[1] for entry in inside if entry.best]
    assert [entry.number for entry in drawn(folder)] == [0, 1]

    (before / "journal.log").unlink()  # read once: a resume does not need the other study
    Study(config, folder).run()
    assert len(Drawing.open(config.search, Space.from_config(LR), journal).earlier) == len(inside)


def test_an_absent_earlier_study_is_named(study_config: Make, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyNotFoundError, match="nowhere"):
        Study(study_config(search=search(warm_start=[str(tmp_path / "nowhere")])), folder).run()


@pytest.mark.faults  # long
def test_a_setting_that_the_earlier_study_did_not_search_has_the_value_of_its_file(
    study_config: Make, folder: Path, tmp_path: Path
) -> None:
    before = tmp_path / "before"
    Study(study_config(search=search(trials=2)), before).run()
    batch = study_config().training.batch
    wider = {"parameters": {**LR["parameters"], "training.batch": {"choice": [batch, batch + 1]}}}
    Study(study_config(search=search(trials=1, space=wider, warm_start=[str(before)])), folder).run()
    assert [trial.params["training.batch"] for trial in Journal(folder / "journal.log", "small").earlier()] == [
        batch
    ] * 2
