"""The rules that end a whole study: each with its reason, nothing lost, and the next attempt knows."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import NodeDiedError

from tuning import Study, StudyConfig
from tuning.attempts import note_killed, seconds_so_far
from tuning.engine import StopFlag
from tuning.errors import ScriptError
from tuning.failures import death_kind, failure_kind
from tuning.listener import Listener
from tuning.record import StudyDirectory, TrialEntry
from tuning.stop_rules import StopRules

Make = Callable[..., StudyConfig]


def rules_of(config: StudyConfig, folder: Path, entries: list[TrialEntry] | None = None) -> tuple[StopRules, StopFlag]:
    stop = StopFlag()
    return StopRules(config, StudyDirectory(folder), entries or [], stop, Listener()), stop


def ended(number: int, dice: float, state: str = "complete") -> TrialEntry:
    return TrialEntry(number, state, "", {}, {1: dice})


def failed(number: int, cause: str, kind: str = "error") -> TrialEntry:
    return TrialEntry(number, "failed", cause, {}, {}, stop={"failure": kind})


def row(epoch: int, dice: float = 0.5, seconds: float = 60.0) -> dict[str, Any]:
    return {"epoch": epoch, "val_dice": dice, "seconds": seconds}


def test_epochs_count_over_all_trials_and_attempts_and_one_trained_again_counts_once(
    study_config: Make, folder: Path
) -> None:
    before = [TrialEntry(-1, "complete", "", {}, {1: 0.1, 2: 0.2}), TrialEntry(0, "running", "", {}, {1: 0.1, 2: 0.2})]
    rules, stop = rules_of(study_config(stop={"epochs": 6}), folder, before)
    rules.epoch_done(0, row(2))
    rules.epoch_done(0, row(3))
    assert not stop.is_set
    rules.epoch_done(1, row(1))
    assert stop.reason == "stop.epochs: 6 epochs are trained, of 6"


def test_a_plateau_goes_by_the_order_of_numbers_and_leaves_out_baselines_and_failures(
    study_config: Make, folder: Path
) -> None:
    config = study_config(stop={"plateau": 2, "min_gain": 0.01})
    rules, stop = rules_of(config, folder, [ended(-1, 0.9), ended(0, 0.5), ended(1, 0.6)])
    rules.trial_ended(ended(3, 0.605, "pruned"))
    rules.trial_ended(failed(4, "ValueError"))
    assert not stop.is_set
    rules.trial_ended(ended(2, 0.55))
    assert stop.reason == "stop.plateau: 2 trials since trial 1 brought no gain over its Dice 0.6000"


def test_enough_dice_ends_the_study_at_once(study_config: Make, folder: Path) -> None:
    rules, stop = rules_of(study_config(stop={"dice": 0.8}), folder)
    rules.epoch_done(3, row(2, 0.79))
    assert not stop.is_set
    rules.epoch_done(3, row(3, 0.81))
    assert stop.reason == "stop.dice: trial 3 reached 0.8100 at epoch 3, 0.8 is enough"


def test_with_folds_only_the_mean_over_all_of_them_is_enough(study_config: Make, folder: Path) -> None:
    data = {"build": None, "root": "data", "folds": 2}
    rules, stop = rules_of(study_config(data=data, stop={"dice": 0.8}), folder)
    rules.epoch_done(0, row(4, 0.9))
    assert not stop.is_set
    rules.epoch_done(0, row(5, 0.9))
    assert stop.is_set


def test_cost_is_seconds_of_epochs_times_cpus(study_config: Make, folder: Path) -> None:
    rules, stop = rules_of(study_config(stop={"cpu_hours": 0.1}, resources={"cpus_per_trial": 2}), folder)
    for epoch in (1, 2):
        rules.epoch_done(0, row(epoch))
    assert not stop.is_set
    rules.epoch_done(0, row(3))
    assert stop.reason == "stop.cpu_hours: 0.1 are used, of 0.1"


def test_wall_clock_time_counts_over_all_attempts_also_killed_ones(study_config: Make, folder: Path) -> None:
    study = StudyDirectory(folder)
    folder.mkdir()
    study.log_attempt(1, "start", pid=1)
    study.log_attempt(1, "end", how="interrupted", seconds=50.0)
    study.log_attempt(2, "start", pid=1)
    metrics = study.trial(0).metrics
    metrics.parent.mkdir(parents=True)
    metrics.touch()
    note_killed(study)
    note_killed(study)
    assert [event.get("how") for event in study.attempts()] == [None, "interrupted", None, "killed"]
    assert 50 <= seconds_so_far(study) < 55
    rules, stop = rules_of(study_config(stop={"minutes": 1}), folder)
    rules.tick()
    assert not stop.is_set
    rules, stop = rules_of(study_config(stop={"minutes": 0.8}), folder)
    rules.tick()
    assert stop.reason == "stop.minutes: 0.8 minutes are over"


def test_the_first_trials_that_all_fail_for_one_reason_stop_the_study(study_config: Make, folder: Path) -> None:
    rules, stop = rules_of(study_config(), folder)
    for number in range(3):
        assert not stop.is_set
        rules.trial_ended(failed(number, f"epoch {number}, batch 1: the loss is NaN", "NaN"))
    assert stop.reason == "stop.same_failures: all 3 trials failed (NaN): epoch 2, batch 1: the loss is NaN"


@pytest.mark.parametrize(
    "before", [[ended(-1, 0.5)], [failed(-1, "another reason")], [failed(-1, "no step", "out of memory")]]
)
def test_a_success_or_another_reason_goes_on(study_config: Make, folder: Path, before: list[TrialEntry]) -> None:
    rules, stop = rules_of(study_config(), folder, before)
    for number in range(4):
        rules.trial_ended(failed(number, "no step"))
    assert not stop.is_set


def test_after_a_stop_for_failures_the_study_may_go_on_until_it_fails_again(study_config: Make, folder: Path) -> None:
    before = [failed(number, "no step") for number in range(3)]
    rules, stop = rules_of(study_config(), folder, before)
    rules.check()
    assert not stop.is_set
    rules.trial_ended(failed(3, "no step"))
    assert stop.is_set


def test_failures_are_told_apart() -> None:
    assert failure_kind(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")) == "out of memory"
    assert failure_kind(ValueError("out of memory")) == "error"
    assert failure_kind(OSError(errno.ENOSPC, "Error writing bytes to file")) == "full disk"
    assert failure_kind(ScriptError("OSError: [Errno 28] No space left on device")) == "full disk"
    assert death_kind("ray.exceptions.OutOfMemoryError: Task was killed") == "out of memory"
    assert death_kind("The actor died unexpectedly: SIGKILL") == "lost worker"
    assert death_kind(repr(NodeDiedError("gone"))) == "lost node"


@pytest.mark.usefixtures("ray_session")
def test_a_stopped_study_loses_nothing_says_why_and_goes_on_once_the_rule_is_lifted(
    study_config: Make, folder: Path
) -> None:
    settings: dict[str, Any] = {"resources": {"concurrent": 1}, "scheduler": {"type": "none"}}
    settings["search"] = {"trials": 2, "baselines": False, "sampler": "random"}
    whole = Study(study_config(**settings), folder.with_name("whole")).run()
    stopped = Study(study_config(stop={"epochs": 6}, **settings), folder).run()
    assert (stopped.interrupted, stopped.stopped) == (False, "stop.epochs: 6 epochs are trained, of 6")
    assert [trial.state for trial in stopped.trials] == ["complete", "running"]
    end = StudyDirectory(folder).attempts()[-1]
    assert (end["how"], end["reason"]) == ("stopped", stopped.stopped)

    again = Study(study_config(stop={"epochs": 6}, **settings), folder).run()
    assert again == stopped
    assert len(StudyDirectory(folder).attempts()) == 2

    lifted = Study(study_config(**settings), folder).run()
    assert (lifted.trials, lifted.stopped) == (whole.trials, "")
    assert StudyDirectory(folder).attempts()[2]["changed"] == {"stop.epochs": None}


@pytest.mark.usefixtures("ray_session")
def test_a_network_that_never_trains_stops_the_study(study_config: Make, folder: Path) -> None:
    config = study_config(model={"build": "tests.toys:untrainable_network"}, resources={"concurrent": 1})
    result = Study(config, folder).run()
    assert result.stopped == (
        "stop.same_failures: all 3 trials failed (error): ValueError: no step for 1 channels. "
        "Hint: it came from the network itself (Untrainable) of Untrainable, given 2×1×32×32."
    )
    assert [(trial.number, trial.failure) for trial in result.trials if trial.state == "failed"] == [
        (-1, "error"),
        (-2, "error"),
        (-3, "error"),
    ]
