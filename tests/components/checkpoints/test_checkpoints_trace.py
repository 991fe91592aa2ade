"""Traces: from an epochs' table, from a log of decisions, and what makes none."""

import math
from typing import Any

import pytest

from components.checkpoints import Decision, SaveDecision, Step, Trace
from components.errors import InvalidInputError


def saved(epoch: int, **facts: Any) -> Decision:
    facts = {"metric": 0.5, "epoch_seconds": 10.0, "path": f"epoch_{epoch}", **facts}
    return Decision.of(SaveDecision(save=True, kind="best", reason="gain"), epoch=epoch, **facts)


def passed(epoch: int, *, hold: bool = False, **facts: Any) -> Decision:
    facts = {"metric": 0.4, "epoch_seconds": 10.0, **facts}
    said = SaveDecision(save=False, kind="best", reason="", hold=hold, inputs={"standard_error": 0.02})
    return Decision.of(said, epoch=epoch, **facts)


def test_a_table_of_epochs_becomes_a_trace() -> None:
    rows = [
        {"epoch": 2, "seconds": 3.0, "val_loss": 0.4, "val_loss_se": 0.1},
        {"epoch": 1, "seconds": 9.0},
        {"epoch": 2, "seconds": 4.0, "val_loss": 0.3, "val_loss_se": 0.2},  # trained again after a kill
        {"epoch": 3, "seconds": 5.0, "val_loss": math.nan},
    ]
    trace = Trace.from_rows(rows, monitor="val_loss", mode="min", save_seconds=0.5, persist_seconds=2.0, bytes=7)
    assert trace == Trace(
        [
            Step(1, 9.0, None, 0.5, 2.0, 7),
            Step(2, 4.0, 0.3, 0.5, 2.0, 7, standard_error=0.2),
            Step(3, 5.0, None, 0.5, 2.0, 7),
        ],
        "val_loss",
        "min",
    )


def test_a_log_becomes_a_trace_with_measured_costs_and_medians_where_nothing_was_saved() -> None:
    log = [
        saved(1, seconds=1.0, persist_seconds=4.0, bytes=10, cases={"a": 0.5}),
        passed(2),
        passed(3, hold=True, seconds=0.25),
        saved(4, seconds=3.0, persist_seconds=6.0, bytes=20),
        saved(5, seconds=8.0, persist_seconds=9.0, bytes=90, metric=0.7),
        saved(3, seconds=2.0, persist_seconds=5.0, bytes=15, epoch_seconds=0.0),  # what was held, written at the end
    ]
    assert Trace.from_decisions(log).steps == [
        Step(1, 10.0, 0.5, 1.0, 4.0, 10, 0.25, cases={"a": 0.5}),
        Step(2, 10.0, 0.4, 2.5, 5.5, 17, 0.25, standard_error=0.02),
        Step(3, 10.0, 0.4, 2.0, 5.0, 15, 0.25, standard_error=0.02),
        Step(4, 10.0, 0.5, 3.0, 6.0, 20, 0.25),
        Step(5, 10.0, 0.7, 8.0, 9.0, 90, 0.25),
    ]


def test_of_an_epoch_that_was_trained_twice_the_later_counts() -> None:
    log = [saved(1), passed(2, metric=0.1), passed(2, metric=0.6)]
    assert [step.metric for step in Trace.from_decisions(log).steps] == [0.5, 0.6]


def test_given_costs_stand_for_the_measured_ones() -> None:
    log = [saved(1, seconds=1.0, bytes=10), passed(2)]
    trace = Trace.from_decisions(log, save_seconds=5.0, bytes=50)
    assert [(step.save_seconds, step.bytes) for step in trace.steps] == [(5.0, 50), (5.0, 50)]
    assert [step.bytes for step in Trace.from_decisions([passed(1)], save_seconds=5.0).steps] == [0]


def test_slower_epochs_cost_the_same_to_save() -> None:
    (step,) = Trace([Step(1, 2.0, 0.5, save_seconds=1.0, bytes=10)]).slower(30).steps
    assert step == Step(1, 60.0, 0.5, save_seconds=1.0, bytes=10)


def test_what_is_no_trace_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least one epoch"):
        Trace([])
    with pytest.raises(InvalidInputError, match=r"must increase; found \[1, 1\]"):
        Trace([Step(1, 1.0, 0.5, 1.0), Step(1, 1.0, 0.5, 1.0)])
    with pytest.raises(InvalidInputError, match="mode: found 'up'"):
        Trace([Step(1, 1.0, 0.5, 1.0)], mode="up")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="epoch 3: save_seconds: found -1, must be finite and not negative"):
        Step(3, 1.0, 0.5, -1)
    with pytest.raises(InvalidInputError, match=r"a save's cost is not known\. Hint: give save_seconds"):
        Trace.from_decisions([passed(1)])
    with pytest.raises(InvalidInputError, match=r"a row needs epoch and seconds; found \['epoch'\]"):
        Trace.from_rows([{"epoch": 1}], save_seconds=1.0)
