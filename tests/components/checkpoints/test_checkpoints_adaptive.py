"""The adaptive policy: what is clear, what is due, what is held; and the manager that carries it out."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from components.checkpoints import (
    AdaptivePolicy,
    AutoCheckpointManager,
    BestPolicy,
    CheckpointManager,
    CheckpointRecord,
    Decision,
    EpochPolicy,
    IntervalPolicy,
    LocalStore,
    SaveMoment,
    Trace,
    TraceStep,
    compare_policies,
    read_decisions,
    replay,
    trace_of,
)
from components.checkpoints.local_store import Write
from components.checkpoints.replay import equal_bytes_interval
from components.errors import InvalidInputError

MODEL = nn.Linear(2, 1)


def moment(score: float, best: float | None, since: float, cost: float = 1.0, **facts: Any) -> SaveMoment:
    error = facts.pop("error", 0.0)
    metrics = {"val_dice": score, "val_dice_se": error}
    return SaveMoment(2, metrics, best, 1, since, cost, **facts)


POLICY = AdaptivePolicy("val_dice", overhead=0.01, mean_time_to_failure=5000, z=2)


def test_a_clear_gain_is_saved_at_once_and_one_within_the_noise_is_held() -> None:
    clear = POLICY.decide(moment(0.9, 0.5, since=1, error=0.1))  # 0.4 > 2 × 0.1
    assert (clear.save, clear.kind, clear.inputs["margin"]) == (True, "best", 0.2)
    faint = POLICY.decide(moment(0.6, 0.5, since=1, error=0.1))  # 0.1 < 0.2
    assert (faint.save, faint.hold) == (False, True)
    fainter = POLICY.decide(moment(0.58, 0.5, since=1, error=0.1, held=0.6))
    assert (fainter.save, fainter.hold) == (False, False)


def test_the_standard_error_is_that_of_paired_cases() -> None:
    best = {"a": 0.2, "b": 0.5, "c": 0.8, "gone": 0.1}
    steady = {"a": 0.23, "b": 0.53, "c": 0.83, "new": 0.9}  # each case gains the same: the spread of cases is no noise
    decided = POLICY.decide(moment(0.53, 0.5, since=1, cases=steady, best_cases=best))
    assert decided.save
    assert decided.inputs["paired_cases"] == 3
    assert decided.inputs["standard_error"] == pytest.approx(0, abs=1e-12)
    mixed = {"a": 0.2, "b": 0.5, "c": 0.89}  # differences 0, 0, 0.09: standard deviation 0.05196, over √3 it is 0.03
    decided = POLICY.decide(moment(0.53, 0.5, since=1, cases=mixed, best_cases=best))
    assert decided.inputs["standard_error"] == pytest.approx(0.03)
    assert decided.hold


def test_a_save_for_recovery_is_due_after_tau() -> None:
    assert not POLICY.decide(moment(0.4, 0.5, since=99)).save  # τ = max(1 / 0.01, √(2·5000·1)) = 100
    due = POLICY.decide(moment(0.4, 0.5, since=101))
    assert (due.save, due.kind, due.inputs["tau"]) == (True, "recovery", 100)
    assert not POLICY.decide(moment(0.4, 0.5, since=101, persist_seconds=200)).save
    assert POLICY.decide(moment(0.4, 0.5, since=0.1, cost=0)).save  # no cost is known yet


def test_on_a_plateau_saves_for_recovery_become_rarer_up_to_a_limit() -> None:
    taus = [
        POLICY.decide(moment(0.4, 0.5, since=1, epochs_since_gain=since)).inputs["tau"] for since in range(0, 41, 5)
    ]
    assert taus == [100, 200, 400, 800, 800, 800, 800, 800, 800]


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_what_is_no_number_is_never_best_nor_held(score: float) -> None:
    decided = POLICY.decide(moment(score, None, since=1))
    assert (decided.save, decided.hold) == (False, False)


def test_less_can_be_better() -> None:
    policy = AdaptivePolicy("val_dice", mode="min", z=0)
    assert policy.decide(moment(0.3, 0.4, since=1)).save
    assert not policy.decide(moment(0.5, 0.4, since=1)).save


@pytest.mark.parametrize(
    "wrong", [{"overhead": 0}, {"mean_time_to_failure": -1}, {"z": -1}, {"patience": 0}, {"most_back_off": 0.5}]
)
def test_wrong_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="adaptive: "):
        AdaptivePolicy("val_dice", **wrong)  # type: ignore[arg-type]


class Slow(LocalStore):
    """A store whose every save takes a second of a clock that it moves."""

    now = 0.0

    def save(self, name: str, write: Write) -> CheckpointRecord:
        self.now += 1
        return super().save(name, write)


def run(manager: CheckpointManager, store: Slow, scores: list[float], seconds: float = 10.0, **options: Any) -> None:
    for epoch, score in enumerate(scores, start=1):
        store.now += seconds
        manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": score, "val_dice_se": 0.05}, **options)


def adaptive(folder: Path, **options: Any) -> tuple[AutoCheckpointManager, Slow]:
    store = Slow(folder)
    return AutoCheckpointManager(folder, store=store, clock=lambda: store.now, max_checkpoints=9, **options), store


def epochs(manager: CheckpointManager) -> list[int]:
    return [record.epoch for record in manager.list_checkpoints()]


def test_the_manager_saves_for_recovery_within_its_budget(tmp_path: Path) -> None:
    told: list[Decision] = []
    manager, store = adaptive(tmp_path, overhead=0.02, mean_time_to_failure=1, patience=100, decisions=told.append)
    run(manager, store, [0.5] + [0.4] * 30)
    # A save takes 1 s, so τ is 50 s; an epoch takes 10 s, so a save is due when the sixth has ended.
    assert [decision.epoch for decision in told if decision.save] == [1, 7, 13, 19, 25, 31]
    assert {decision.seconds for decision in told if decision.save} == {1.0}
    assert [decision.epoch for decision in told] == list(range(1, 32))
    assert all(decision.epoch_seconds == 10.0 for decision in told)


def test_what_is_held_is_written_when_the_training_ends_and_is_the_best(tmp_path: Path) -> None:
    manager, store = adaptive(tmp_path)
    with manager:
        run(manager, store, [0.5, 0.53, 0.52, 0.51])  # gains within one standard error of 0.05
        assert epochs(manager) == [1]
        nn.init.constant_(MODEL.weight, 9.0)
    assert epochs(manager) == [1, 2]
    loaded = nn.Linear(2, 1)
    assert manager.load_checkpoint("best", loaded).metrics["val_dice"] == 0.53
    assert not (loaded.weight == 9.0).any()  # a copy was held, not the model


def test_what_is_held_is_written_with_the_next_save_unless_that_is_better(tmp_path: Path) -> None:
    manager, store = adaptive(tmp_path / "worse")
    run(manager, store, [0.5, 0.53, 0.52])
    manager.save_checkpoint(MODEL, epoch=4, metrics={"val_dice": 0.1}, forced="rung")
    assert epochs(manager) == [1, 2, 4]
    manager, store = adaptive(tmp_path / "better")
    run(manager, store, [0.5, 0.53, 0.7])
    assert epochs(manager) == [1, 3]


def test_a_manager_that_may_not_hold_saves_instead(tmp_path: Path) -> None:
    manager, store = adaptive(tmp_path, may_hold=False)
    run(manager, store, [0.5, 0.53, 0.52])
    assert epochs(manager) == [1, 2]


def test_the_best_cases_are_remembered_by_the_checkpoint(tmp_path: Path) -> None:
    options: dict[str, Any] = {"decisions": None}
    for epoch, (score, cases) in enumerate([(0.5, {"a": 0.4, "b": 0.6}), (0.52, {"a": 0.5, "b": 0.54})], start=1):
        manager = AutoCheckpointManager(tmp_path, **options)
        manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": score}, cases=cases)
        manager.close()
    decided = read_decisions(tmp_path / "decisions.jsonl")
    assert decided[1].inputs["paired_cases"] == 2  # they differ by 0.1 and by 0.06 less
    assert decided[1].inputs["standard_error"] == pytest.approx(0.08)


def steps(metrics: list[float | None], seconds: float = 10.0, error: float | None = None) -> list[TraceStep]:
    return [TraceStep(epoch, seconds, metric, error) for epoch, metric in enumerate(metrics, start=1)]


def test_a_replay_counts_what_a_policy_writes_costs_and_keeps() -> None:
    trace = Trace(steps([0.5, 0.6, 0.4, 0.7]), save_seconds=1, bytes=100)
    replayed = compare_policies(trace, {"best": BestPolicy("val_dice"), "each 2": IntervalPolicy(2)})
    best, interval = replayed["best"], replayed["each 2"]
    assert (best.saves, best.bytes, best.stall_seconds) == (3, 300, 3)
    assert best.stall_share == pytest.approx(3 / 43)
    assert best.risk_max == 20  # from epoch 2 to epoch 4
    assert best.risk_mean == pytest.approx((10**2 + 10**2 + 20**2) / 2 / 40)
    assert (best.regret_end, best.regret_mean) == (0, 0)
    assert interval.saves == 2
    # Regret after each epoch: 0.5 with nothing saved, then 0.6 saved, 0.6, 0.7 saved.
    assert interval.regret_mean == pytest.approx(0.5 / 4)
    assert interval.risk_mean == pytest.approx((20**2 + 20**2) / 2 / 40)


def test_a_replay_writes_what_is_held_at_the_end() -> None:
    trace = Trace(steps([0.5, 0.52, 0.51], error=0.1), save_seconds=1, bytes=100)
    replayed = replay(trace, AdaptivePolicy("val_dice", mean_time_to_failure=1e9))
    assert (replayed.saves, replayed.regret_end) == (2, 0)


METRICS = st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=40)


@given(METRICS, st.floats(0, 0.2), st.floats(0.001, 5))
def test_whatever_happens_the_adaptive_policy_ends_with_the_best_epoch_saved(
    metrics: list[float | None], error: float, cost: float
) -> None:
    replayed = replay(Trace(steps(metrics, error=error), save_seconds=cost, bytes=1), AdaptivePolicy("val_dice"))
    assert replayed.regret_end == 0
    seen = [value for value in metrics if value is not None]
    assert replayed.regret_mean <= error + (max(seen, default=0) if metrics[0] is None else 0)


@given(st.integers(2, 200), st.floats(0.001, 5), st.floats(0.005, 0.2))
def test_without_gains_saving_stays_within_the_budget(epochs: int, cost: float, overhead: float) -> None:
    trace = Trace(steps([0.5] * epochs), save_seconds=cost, bytes=1)
    replayed = replay(trace, AdaptivePolicy("val_dice", overhead=overhead))
    assert replayed.stall_seconds <= 2 * cost + overhead * 10.0 * epochs  # the first of each kind is free


@given(METRICS, st.integers(1, 10))
def test_a_later_interval_never_writes_more_and_equal_bytes_are_at_least_equal(
    metrics: list[float | None], saves: int
) -> None:
    trace = Trace(steps(metrics), save_seconds=1, bytes=10)
    interval = equal_bytes_interval(trace, limit=10 * saves)
    written = replay(trace, IntervalPolicy(interval)).bytes
    assert written >= min(10 * saves, 10 * len(metrics))


def test_a_recorded_training_becomes_a_trace(tmp_path: Path) -> None:
    store = Slow(tmp_path)
    log = tmp_path / "decisions.jsonl"
    manager = CheckpointManager(tmp_path, save_strategy="all", clock=lambda: Slow.now)
    del store
    for epoch, score in enumerate([0.5, 0.7, 0.6], start=1):
        Slow.now += 10
        manager.save_checkpoint(MODEL, epoch=epoch, metrics={"val_dice": score})
    Slow.now = 0.0
    trace = trace_of(read_decisions(log))
    assert [(step.epoch, step.seconds, step.metric) for step in trace.steps] == [
        (1, 10, 0.5),
        (2, 10, 0.7),
        (3, 10, 0.6),
    ]
    assert trace.bytes == sorted(record.bytes for record in manager.list_checkpoints())[1]
    assert replay(trace, EpochPolicy()).saves == 3
    with pytest.raises(InvalidInputError, match="nothing was saved"):
        trace_of([])
    with pytest.raises(InvalidInputError, match="at least one epoch"):
        Trace([], 0, 0)
