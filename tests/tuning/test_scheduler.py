from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import ASHAScheduler

from tuning.config import SchedulerConfig
from tuning.scheduler import StudyScheduler

EPOCHS = 9


def scheduler() -> StudyScheduler:
    return StudyScheduler(SchedulerConfig(type="asha", grace=1, reduction=3), EPOCHS)


def live(study: StudyScheduler, number: int, epoch: int, dice: float) -> str:
    trial = SimpleNamespace(config={"number": number}, trial_id=f"ray-{number}")
    return study.on_trial_result(None, trial, {"epoch": epoch, "val_dice": dice})


def test_the_weakest_of_a_rung_is_pruned_with_the_cause() -> None:
    study = scheduler()
    assert [live(study, number, 1, dice) for number, dice in enumerate((0.9, 0.8, 0.1))] == ["CONTINUE", "STOP", "STOP"]
    assert study.stops[2].state == "pruned"
    assert study.stops[2].cause == "asha at epoch 1: Dice 0.1000 not among the best 1/3 of its rung"


def test_the_budget_ends_a_trial_as_complete() -> None:
    study = scheduler()
    live(study, 0, EPOCHS, 0.1)
    assert (study.stops[0].state, study.stops[0].cause) == ("complete", "budget of 9 epochs reached")


def test_baselines_are_never_pruned_and_stand_in_no_rung() -> None:
    study = scheduler()
    assert live(study, -1, 1, 0.99) == "CONTINUE"
    assert live(study, 0, 1, 0.5) == "CONTINUE"  # would be stopped if the baseline stood in the rung
    assert live(study, -2, 1, 0.01) == "CONTINUE"
    assert live(study, -2, EPOCHS, 0.01) == "STOP"


def test_a_failure_ends_the_trial_and_stands_in_no_rung() -> None:
    study = scheduler()
    trial = SimpleNamespace(config={"number": 0}, trial_id="x")
    failure = {"failure": "ValueError: no", "failure_kind": "error", "epoch": 1, "val_dice": float("nan")}
    assert study.on_trial_result(None, trial, failure) == "STOP"
    assert (study.stops[0].state, study.stops[0].cause) == ("failed", "ValueError: no")
    assert live(study, 1, 1, 0.1) == "CONTINUE"


def test_without_asha_only_the_budget_stops() -> None:
    study = StudyScheduler(SchedulerConfig(type="none"), EPOCHS)
    assert [live(study, number, 1, 0.5 - 0.1 * number) for number in range(4)] == ["CONTINUE"] * 4


Histories = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=EPOCHS), min_size=2, max_size=8)


@given(histories=Histories, data=st.data())
@settings(max_examples=60, deadline=None)
def test_rungs_rebuilt_from_the_journal_decide_as_the_uninterrupted_ones(
    histories: list[list[float]], data: st.DataObject
) -> None:
    whole, decisions = scheduler(), {}
    told: dict[int, dict[int, float]] = {}
    for number, history in enumerate(histories):
        for epoch, dice in enumerate(history, start=1):
            decisions[number, epoch] = live(whole, number, epoch, dice)
            told.setdefault(number, {})[epoch] = dice
            if decisions[number, epoch] == "STOP":
                break
    killed = data.draw(st.integers(0, len(histories) - 1))
    reported = data.draw(st.integers(0, len(told[killed])))
    checkpointed = data.draw(st.integers(0, reported))

    resumed, again = scheduler(), {}
    for number in range(killed):
        resumed.replay(number, told[number])
    resumed.replay(killed, {epoch: dice for epoch, dice in told[killed].items() if epoch <= reported})
    stopped = reported > 0 and decisions[killed, reported] == "STOP"  # what was decided stands in the record
    for number in range(killed, len(histories)):
        for epoch, dice in told[number].items():
            if number > killed or (epoch > checkpointed and not stopped):
                again[number, epoch] = live(resumed, number, epoch, dice)
    assert again == {key: decisions[key] for key in again}


@given(histories=Histories)
@settings(max_examples=40, deadline=None)
def test_decisions_are_those_of_tunes_own_asha(histories: list[list[float]]) -> None:
    ours = scheduler()
    theirs = ASHAScheduler("epoch", "val_dice", "max", max_t=EPOCHS, grace_period=1, reduction_factor=3)
    for number, history in enumerate(histories):
        trial: Any = SimpleNamespace(trial_id=f"ray-{number}")
        theirs.on_trial_add(None, trial)
        for epoch, dice in enumerate(history, start=1):
            decision = theirs.on_trial_result(None, trial, {"epoch": epoch, "val_dice": dice})
            assert live(ours, number, epoch, dice) == decision
            if decision == "STOP":
                break
