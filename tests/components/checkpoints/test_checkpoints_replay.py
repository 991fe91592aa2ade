"""Replays: the simulated clock by hand-made numbers, agreement with the manager, and what holds for any training."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from components.checkpoints import (
    AdaptivePolicy,
    AllPolicy,
    BestPolicy,
    CheckpointManager,
    EpochPolicy,
    IntervalPolicy,
    SaveDecision,
    SaveMoment,
    SavePolicy,
    Step,
    Trace,
    compare_policies,
    make_save_policy,
    replay,
)

EPOCH = 10.0  # seconds
PAGE = Path(__file__).parents[3] / "docs" / "how_to" / "adaptive_checkpoints.md"


def trace(metrics: Sequence[float | None], **costs: Any) -> Trace:
    costs = {"save_seconds": 1.0, "bytes": 100} | costs
    return Trace([Step(epoch, EPOCH, metric, **costs) for epoch, metric in enumerate(metrics, start=1)])


class Spy:
    """Asks another policy and remembers what it was told and said."""

    def __init__(self, policy: SavePolicy) -> None:
        self.policy = policy
        self.heard: list[tuple[SaveMoment, SaveDecision]] = []

    def decide(self, moment: SaveMoment) -> SaveDecision:
        self.heard.append((moment, self.policy.decide(moment)))
        return self.heard[-1][1]


def test_a_save_that_training_waits_for_by_hand() -> None:
    found = replay(trace([0.1, 0.2, 0.3, 0.4]), IntervalPolicy(epochs=2), keep=1)
    assert (found.epochs, found.bytes_written, found.bytes_kept) == ((2, 4), 200, 100)
    assert (found.seconds, found.stall_seconds, found.stall_share) == (42, 2, 2 / 42)
    # Lost climbs to 20 by second 20, stays 20 while the save is written, falls to 0 at 21, and so again.
    assert found.max_risk == 20
    assert found.mean_risk == pytest.approx((2 * (20 * 20 / 2) + 2 * 20) / 42)
    # Nothing durable until 21: the worst metric, 0.1, stands for it; 0.2 from 21 on; 0.4 from 42 on.
    regret = 1 * 0.1 + (31 - 21) * 0 + (41 - 31) * 0.1 + 1 * 0.2
    assert found.mean_regret == pytest.approx(regret / 42)
    assert found.final_regret == 0


def test_a_save_in_the_background_counts_once_it_is_durable_and_the_next_decision_waits_for_it() -> None:
    found = replay(trace([0.1, 0.2], persist_seconds=14.0), EpochPolicy())
    # Copy 10-11, durable at 24; the epoch ends at 21 and waits 3 s; copy 24-25, durable at 38, waited for.
    assert (found.seconds, found.stall_seconds) == (38, 1 + 3 + 14)
    assert found.max_risk == 20  # at 24 and later 20 s are trained and 10 safe; before it, none


def test_what_is_held_is_written_at_the_end_for_the_rest_of_its_cost() -> None:
    held = trace([0.5, 0.51, 0.4], standard_error=0.1, hold_seconds=0.25)
    found = replay(held, AdaptivePolicy("val_dice"))
    assert found.epochs == (1, 2)
    assert found.stall_seconds == 1.0 + 0.25 + 0.75
    assert found.final_regret == 0


def test_one_write_is_under_way_at_a_time() -> None:
    policy = AdaptivePolicy("val_dice", overhead=0.05, mean_time_to_failure=1.0)  # τ 20
    slow = trace([0.5, 0.51, 0.4], standard_error=0.1, hold_seconds=0.0, persist_seconds=15.0)
    found = replay(slow, policy)
    # Saved 10-11, durable at 25: the decision at 21 waits until then, and holds. At 35 the third is saved, durable at
    # 50; then what was held, durable at 65.
    assert (found.epochs, found.seconds, found.stall_seconds) == ((1, 3, 2), 65, 35)


@pytest.mark.parametrize(("last", "epochs"), [(0.4, (1, 9, 2)), (0.52, (1, 9))])
def test_what_is_held_is_written_with_the_next_save_unless_that_is_better(last: float, epochs: tuple[int, ...]) -> None:
    policy = AdaptivePolicy("val_dice", overhead=0.0126, mean_time_to_failure=1.0)  # τ 79.4: due after 8 epochs
    found = replay(trace([0.5, 0.51, *[0.4] * 6, last], standard_error=0.1, hold_seconds=0.0), policy)
    assert found.epochs == epochs


def test_the_policy_is_told_what_a_manager_knows() -> None:
    spy = Spy(AdaptivePolicy("val_dice"))
    cases = [{"a": 0.4, "b": 0.6}, {"a": 0.6, "b": 0.42}, {"a": 0.1, "b": 0.2}]
    steps = [
        Step(epoch, EPOCH, sum(scores.values()) / 2, save_seconds=1.0, persist_seconds=5.0, cases=scores)
        for epoch, scores in enumerate(cases, start=1)
    ]
    replay(Trace(steps), spy)
    moments = [moment for moment, _ in spy.heard]
    assert [said.save or (said.hold and "held") for _, said in spy.heard] == [True, "held", False]
    assert [moment.best for moment in moments] == [None, 0.5, 0.5]
    assert [moment.held for moment in moments] == [None, None, 0.51]
    assert [moment.last_epoch for moment in moments] == [-1, 1, 1]
    assert [moment.seconds_since_save for moment in moments] == [10, 10, 21]  # a held copy took as long as a save
    assert [moment.save_seconds for moment in moments] == [0, 1, 1]
    assert [moment.persist_seconds for moment in moments] == [0, 5, 5]
    assert [moment.epochs_since_gain for moment in moments] == [0, 0, 1]
    assert [moment.best_cases for moment in moments] == [None, cases[0], cases[0]]
    assert [moment.cases for moment in moments] == cases


def test_a_clear_late_jump_is_on_the_disk_at_once_where_an_interval_misses_it() -> None:
    jump = trace([0.5] * 18 + [0.8] + [0.5] * 3, standard_error=0.02)
    rows = {row["policy"]: row for row in compare_policies(jump, {"a": AdaptivePolicy("val_dice"), "b": every(11)})}
    assert (rows["a"]["saves"], rows["b"]["saves"]) == (2, 2)
    assert (rows["a"]["final_regret"], rows["b"]["final_regret"]) == (0, pytest.approx(0.3))
    assert rows["a"]["mean_regret"] < rows["b"]["mean_regret"]


def test_a_steady_climb_within_the_noise_is_saved_each_time_it_has_added_up() -> None:
    climb = trace([0.1 + 0.01 * epoch for epoch in range(13)], standard_error=0.025)
    assert replay(climb, AdaptivePolicy("val_dice")).epochs == (1, 4, 7, 10, 13)
    assert len(replay(climb, BestPolicy("val_dice")).epochs) == 13


def test_a_plateau_is_saved_less_and_less_often() -> None:
    policy = AdaptivePolicy("val_dice", overhead=0.05, mean_time_to_failure=1.0, patience=10, max_backoff=4)
    epochs = replay(trace([0.5] + [0.4] * 60), policy).epochs
    # τ is 20 s at first, 40 from the tenth epoch without a gain on and 80 from the twentieth.
    assert epochs == (1, 4, 7, 10, 15, 20, 29, 38, 47, 56)


def every(epochs: int) -> SavePolicy:
    return IntervalPolicy(epochs=epochs)


@settings(max_examples=25, deadline=None)
@given(
    metrics=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, math.nan]), min_size=1, max_size=9),
    options=st.sampled_from(
        [
            {"save_strategy": "best"},
            {"save_strategy": "epoch"},
            {"save_strategy": "interval", "interval_epochs": 3},
            {"save_strategy": "interval", "interval_minutes": 0.4},
            {"save_strategy": "all"},
            {"save_strategy": "adaptive", "adaptive": {"overhead": 0.5}},
        ]
    ),
)
def test_a_replay_saves_what_the_manager_saves(
    metrics: list[float], options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    now = [0.0]
    folder = tmp_path_factory.mktemp("checkpoints")
    manager = CheckpointManager(folder, clock=lambda: now[0], durable=False, **options)
    saved = []
    for epoch, metric in enumerate(metrics, start=1):
        now[0] += EPOCH
        if manager.save_checkpoint(nn.Linear(1, 1), epoch=epoch, metrics={"val_dice": metric}):
            saved.append(epoch)
    adaptive = options.get("adaptive", {})
    names = {name: value for name, value in options.items() if name.startswith("interval")}
    policy = make_save_policy(options["save_strategy"], **names, **adaptive)
    assert replay(trace(metrics, save_seconds=0.0), policy).epochs == tuple(saved)


scores = st.none() | st.just(math.nan) | st.floats(0, 1)
steps = st.lists(
    st.builds(
        Step,
        epoch=st.just(0),
        seconds=st.floats(0, 100),
        metric=scores,
        save_seconds=st.floats(0, 20),
        persist_seconds=st.floats(0, 300),
        bytes=st.integers(0, 1000),
        hold_seconds=st.none() | st.floats(0, 20),
        standard_error=st.none() | st.floats(0, 0.3),
    ),
    min_size=1,
    max_size=25,
)
policies = st.sampled_from(
    [
        AllPolicy(),
        every(3),
        IntervalPolicy(minutes=1),
        BestPolicy("val_dice"),
        AdaptivePolicy("val_dice"),
        AdaptivePolicy("val_dice", overhead=0.2, mean_time_to_failure=30, z=3, patience=2),
    ]
)


def numbered(found: list[Step], mode: Any = "max") -> Trace:
    return Trace([replace(step, epoch=epoch) for epoch, step in enumerate(found, start=1)], mode=mode)


@given(steps, policies)
def test_measures_of_any_run_stay_within_their_bounds(found: list[Step], policy: SavePolicy) -> None:
    result = replay(numbered(found), policy)
    trained = sum(step.seconds for step in found)
    assert result.seconds == pytest.approx(trained + result.stall_seconds)
    assert 0 <= result.mean_risk <= result.max_risk + 1e-9
    assert result.max_risk <= trained + 1e-9
    assert result.bytes_kept <= result.bytes_written
    known = [step.metric for step in found if step.metric is not None and not math.isnan(step.metric)]
    if known:
        assert result.mean_regret is not None
        assert -1e-9 <= result.mean_regret <= max(known) - min(known) + 1e-9
    else:
        assert result.mean_regret is result.final_regret is None


@given(steps, st.sampled_from(["min", "max"]), st.floats(0, 4))
def test_the_adaptive_policy_ends_with_the_best_on_the_disk(found: list[Step], mode: Any, z: float) -> None:
    assert replay(numbered(found, mode), AdaptivePolicy("val_dice", mode, z=z)).final_regret in (0, None)


@given(steps, st.floats(0, 0.3), st.floats(0, 4))
def test_no_more_than_the_noise_of_one_gain_is_ever_unsaved(found: list[Step], error: float, z: float) -> None:
    spy = Spy(AdaptivePolicy("val_dice", z=z))
    replay(numbered([replace(step, standard_error=error) for step in found]), spy)
    best_seen = -math.inf
    for moment, said in spy.heard:
        if best_seen > -math.inf:
            assert moment.best is not None
            assert best_seen - moment.best <= z * error + 1e-12
        value = said.inputs["value"]
        best_seen = max(best_seen, -math.inf if value is None else value)


@given(steps, st.floats(0.001, 1), st.floats(0.1, 20))
def test_recovery_saves_stay_within_their_share_of_the_run(found: list[Step], overhead: float, cost: float) -> None:
    spy = Spy(AdaptivePolicy("val_dice", overhead=overhead, mean_time_to_failure=1e-3))
    result = replay(numbered([replace(step, save_seconds=cost) for step in found]), spy)
    recoveries = sum(said.save and said.kind == "recovery" for _, said in spy.heard)
    # The first save of all may be one, before the cost is known.
    assert cost * (recoveries - 1) <= overhead * result.seconds


@given(st.lists(st.floats(0.1, 1), min_size=1, max_size=25), st.integers(1, 5))
def test_on_a_plateau_all_saving_stays_within_the_budget_and_the_first_save(
    fractions: list[float], seconds: int
) -> None:
    falling = sorted(fractions, reverse=True)
    found = trace(falling, save_seconds=float(seconds))
    result = replay(found, AdaptivePolicy("val_dice", overhead=0.1))
    assert result.stall_seconds <= 0.1 * result.seconds + seconds


@given(steps, policies)
def test_no_policy_risks_less_work_than_even_saves_at_no_cost_would(found: list[Step], policy: SavePolicy) -> None:
    free = [replace(step, save_seconds=0.0, persist_seconds=0.0, hold_seconds=0.0) for step in found]
    result = replay(numbered(free), policy)
    assert result.mean_risk >= result.seconds / (2 * (len(result.epochs) + 1)) - 1e-9


@given(steps, policies)
def test_the_mean_of_the_work_at_risk_is_that_of_many_kills(found: list[Step], policy: SavePolicy) -> None:
    """Against a replay of each moment by itself, from the run's saves alone; saves are free here."""
    free = [replace(step, save_seconds=0.0, persist_seconds=0.0, hold_seconds=0.0) for step in found]
    spy = Spy(policy)
    result = replay(numbered(free), spy)
    ends = [sum(step.seconds for step in free[: index + 1]) for index in range(len(free))]
    safe = [0.0] + [end for end, (_, said) in zip(ends, spy.heard, strict=True) if said.save]
    moments = [(index + 0.5) * ends[-1] / 2000 for index in range(2000)]
    lost = [moment - max(time for time in safe if time <= moment) for moment in moments]
    assert result.mean_risk == pytest.approx(sum(lost) / 2000, abs=1e-3 * ends[-1] * (1 + len(safe)) + 1e-9)


@given(steps, policies, st.integers(1, 3))
def test_how_many_are_kept_changes_what_is_kept_alone(found: list[Step], policy: SavePolicy, keep: int) -> None:
    everything, few = (replay(numbered(found), policy, keep=count) for count in (None, keep))
    assert everything.bytes_kept == everything.bytes_written
    assert replace(few, bytes_kept=0) == replace(everything, bytes_kept=0)


def test_the_python_of_the_page_on_adaptive_checkpoints_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, PAGE.name, "exec"), {})  # noqa: S102 - our own
    # Adaptive saves 1, 2, 3 and 5 for clear gains, then 8 as two minutes have gone by, and with it 7, which was held.
    assert capsys.readouterr().out.splitlines() == ["adaptive 6 60 0.0", "best 5 60 0.0", "each 2 epochs 5 60 0.02"]
