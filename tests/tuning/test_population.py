"""Population-based training on a real Ray: who goes on from whom, and that the record says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports import StudyTables, load_trials
from reports.summary import status_lines
from search_spaces import Space
from tests.report_studies import StudyWriter
from tuning import Study, StudyConfig
from tuning.errors import StudyConfigError
from tuning.exploring import check_mutables
from tuning.record import StudyDirectory

Make = Callable[..., StudyConfig]
LR = {"float": [0.0001, 0.1], "log": True}
SPACE = {"presets": ["loss_weights"], "parameters": {"training.lr": LR, "training.batch": {"int": [2, 3]}}}


def pbt(**search: Any) -> dict[str, Any]:
    return {
        "training": {"epochs": 5},
        "search": {"trials": 4, "seed": 5, "sampler": "random", "baselines": False, "space": SPACE, **search},
        "scheduler": {"type": "pbt", "population": 4, "interval": 2, "resample": 0.0},
        "model": {"arguments": {}},
    }


REFUSED = [
    ({"mutable": ["training.batch"]}, {}, "training.batch cannot change during training. Hint: training.lr and"),
    ({}, {"parameters": {"training.batch": {"int": [2, 3]}}}, "the space searches none of training.lr, loss.weights"),
    ({"mutable": ["loss.weights"]}, {"parameters": {"training.lr": LR}}, "loss.weights is not searched"),
    ({}, {"parameters": {"training.lr": {"choice": [0.1, 0.2]}}}, "training.lr is one of 0.1, 0.2. Hint: give it"),
    ({}, {"presets": ["loss_weights", "loss_schedules"]}, "loss.weights are moved by loss.schedule already"),
    (
        {},
        {"parameters": {"training.lr": LR, "training.weight_decay": {"derived": "training.lr", "scale": 0.1}}},
        "training.weight_decay hangs on training.lr",
    ),
]


@pytest.mark.parametrize(("scheduler", "space", "reason"), REFUSED)
def test_what_cannot_change_during_training_is_refused(
    study_config: Make, scheduler: dict[str, Any], space: dict[str, Any], reason: str
) -> None:
    config = study_config(scheduler={"type": "pbt", "population": 4, "interval": 2, **scheduler})
    with pytest.raises(StudyConfigError) as caught:
        check_mutables(config, Space.from_config(space))
    assert str(caught.value).startswith(f"scheduler.mutable: {reason}")


def test_a_running_trial_is_shown_with_whose_checkpoint_it_went_on_from(tmp_path: Path) -> None:
    writer = StudyWriter(tmp_path / "study", scheduler={"type": "pbt"})
    clone = {
        "number": 0,
        "epoch": 1,
        "source": 1,
        "dice": 0.2,
        "taken": {"training.lr": 0.1},
        "settings": {"training.lr": 0.2},
    }
    writer.add([0.5, 0.6], state="running", more={"clones": [clone]})
    study = StudyDirectory(writer.write())
    trials = load_trials(study.root)
    lines = status_lines(StudyTables(study.root), running=True)
    assert lines[3] == "          trial 0 at epoch 2 of 9, from trial 1's checkpoint of epoch 1"
    assert trials["params"][0] == {"training.lr": 0.2}  # of epoch 2, the best


@pytest.mark.usefixtures("ray_session")
def test_the_weakest_goes_on_from_the_best_and_the_record_says_so(study_config: Make, folder: Path) -> None:
    result = Study(study_config(**pbt()), folder).run()
    assert {trial.state for trial in result.trials} == {"complete"}
    assert [sorted(trial.dice) for trial in result.trials] == [[1, 2, 3, 4, 5]] * 4
    study = StudyDirectory(folder)
    assert [event["event"] for event in study.attempts()] == ["start", "end"]
    clones = [clone for trial in result.trials for clone in trial.clones]
    assert sorted(clone.epoch for clone in clones) == [2, 4]
    for clone in clones:
        trial, source = (result.trials[number] for number in (clone.number, clone.source))
        assert trial.dice[clone.epoch] == source.dice[clone.epoch] >= clone.dice
        assert clone.settings["training.batch"] == clone.taken["training.batch"]
        ratio = clone.settings["training.lr"] / clone.taken["training.lr"]
        assert ratio == pytest.approx(0.8) or ratio == pytest.approx(1.2) or clone.settings["training.lr"] == 0.1
        rows = study.trial(clone.number).epochs()
        assert rows[clone.epoch]["cloned_from"] == clone.source
        own = rows[clone.epoch + 1]
        theirs = study.trial(clone.source).epochs()[clone.epoch + 1]
        assert own["lr"] == pytest.approx(theirs["lr"] * ratio)
        assert {f"weight_{name}": value for name, value in clone.settings["loss.weights"].items()} == {
            name: value for name, value in own.items() if name.startswith("weight_")
        }
        assert f"from trial {clone.source}'s checkpoint of epoch {clone.epoch}" in trial.cause
    for trial in result.trials:
        record = study.trial(trial.number)
        assert {epoch: row["val_dice"] for epoch, row in record.epochs().items()} == trial.dice
        line = record.best_checkpoint()
        assert line is not None
        assert trial.best == (line["epoch"], line["dice"])
        indexed = {folder / line["path"] for line in record.checkpoints()}
        assert set(folder.glob(f"attempts/*/{record.path.name}/checkpoint_*")) == indexed
    table = load_trials(folder)
    assert status_lines(StudyTables(study.root), running=False)[2] == "trials    4 complete"
    assert list(table["cause"]) == [trial.cause for trial in result.trials]
    assert list(table["params"]) == [trial.settings for trial in result.trials]
