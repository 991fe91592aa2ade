"""The adaptive policy's two decisions: what is the best, and when too much work stands at risk."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.checkpoints import (
    AdaptivePolicy,
    BestPolicy,
    EpochPolicy,
    IntervalPolicy,
    SaveMoment,
    SavePolicy,
    make_save_policy,
    paired_standard_error,
)
from components.errors import InvalidInputError

finite = st.floats(-1e6, 1e6)


def moment(value: float | None, best: float | None = 0.5, **facts: Any) -> SaveMoment:
    """An epoch long before a recovery save is due, unless `facts` say otherwise."""
    metrics = {} if value is None else {"val_dice": value}
    metrics |= {"val_dice_se": facts.pop("error")} if "error" in facts else {}
    facts = {"seconds_since_save": 1.0, "save_seconds": 1.0} | facts
    return SaveMoment(epoch=9, metrics=metrics, best=best, **facts)


def said(policy: SavePolicy, at: SaveMoment) -> str:
    decision = policy.decide(at)
    assert not (decision.save and decision.hold)
    return f"save {decision.kind}" if decision.save else "hold" if decision.hold else "nothing"


def test_a_gain_is_clear_beyond_the_paired_error_of_the_cases() -> None:
    # Differences 0.3, 0.1 and 0.2: mean 0.2, sd 0.1, error 0.1/√3 = 0.0577.
    cases, best = {"a": 0.8, "b": 0.6, "c": 0.7, "new": 0.9}, {"a": 0.5, "b": 0.5, "c": 0.5, "gone": 0.1}
    found = moment(0.7, cases=cases, best_cases=best, error=9.0)  # the cases go before the metric's own error
    assert said(AdaptivePolicy("val_dice", z=3), found) == "save best"  # 0.2 > 0.173
    assert said(AdaptivePolicy("val_dice", z=4), found) == "hold"  # 0.2 < 0.231
    assert AdaptivePolicy("val_dice", z=3).decide(found).inputs["standard_error"] == pytest.approx(0.1 / math.sqrt(3))


@pytest.mark.parametrize(
    ("cases", "best_cases"),
    [(None, None), ({"a": 0.7}, {"a": 0.5}), ({"a": 0.7, "b": math.nan}, {"a": 0.5, "b": 0.4})],
)
def test_without_two_common_cases_the_error_of_the_metric_decides(
    cases: Mapping[str, float] | None, best_cases: Mapping[str, float] | None
) -> None:
    policy = AdaptivePolicy("val_dice", z=2)
    options: dict[str, Any] = {"cases": cases, "best_cases": best_cases}
    assert said(policy, moment(0.7, error=0.15, **options)) == "hold"
    assert said(policy, moment(0.7, error=0.05, **options)) == "save best"
    assert said(policy, moment(0.75, error=0.125, **options)) == "hold"  # as large as the noise is not beyond it
    assert said(policy, moment(0.500001, **options)) == "save best"  # no error at all: every gain is clear


@pytest.mark.parametrize(
    ("value", "held", "expected"),
    [
        (0.51, None, "hold"),
        (0.51, 0.52, "nothing"),  # better is held already
        (0.53, 0.52, "hold"),
        (0.9, 0.52, "save best"),
        (0.5, None, "nothing"),  # as good is no gain
        (0.4, None, "nothing"),
        (math.nan, None, "nothing"),
        (math.inf, None, "nothing"),
        (None, None, "nothing"),
    ],
)
def test_what_is_within_the_noise_is_held_if_it_leads(value: float | None, held: float | None, expected: str) -> None:
    assert said(AdaptivePolicy("val_dice"), moment(value, held=held, error=0.1)) == expected


def test_mode_min_turns_the_sign() -> None:
    policy = AdaptivePolicy("val_dice", mode="min")
    assert [said(policy, moment(value, error=0.1)) for value in (0.3, 0.45, 0.6)] == ["save best", "hold", "nothing"]


def test_a_first_metric_is_the_best_and_no_metric_is_never() -> None:
    assert said(AdaptivePolicy("val_dice"), moment(0.1, best=None, error=0.5)) == "save best"
    assert said(AdaptivePolicy("val_dice"), moment(math.nan, best=None)) == "nothing"


@pytest.mark.parametrize(
    ("options", "facts", "tau"),
    [
        ({"overhead": 0.01, "mean_time_to_failure": 1.0}, {"save_seconds": 2.0}, 200.0),  # C_b/ε
        ({"overhead": 1.0, "mean_time_to_failure": 1.0}, {"save_seconds": 2.0, "persist_seconds": 70.0}, 70.0),  # C_p
        ({"overhead": 1.0, "mean_time_to_failure": 5000.0}, {"save_seconds": 1.0}, 100.0),  # √(2·5000·1)
    ],
)
def test_a_recovery_save_is_due_after_the_longest_of_three_times(
    options: dict[str, Any], facts: dict[str, float], tau: float
) -> None:
    policy = AdaptivePolicy("val_dice", **options)
    assert policy.decide(moment(0.4, **facts)).inputs["tau"] == tau
    assert said(policy, moment(0.4, seconds_since_save=tau, **facts)) == "nothing"
    assert said(policy, moment(math.nan, seconds_since_save=tau + 0.1, **facts)) == "save recovery"
    # What leads is written by it too, clear or not.
    assert said(policy, moment(0.51, error=0.1, seconds_since_save=tau + 0.1, **facts)) == "save recovery"


def test_the_interval_doubles_on_a_plateau_up_to_a_bound_and_a_gain_sets_it_back() -> None:
    policy = AdaptivePolicy("val_dice", overhead=0.01, mean_time_to_failure=1.0, patience=5, max_backoff=6)

    def tau(stale: int, value: float = 0.4) -> float:
        found = policy.decide(moment(value, epochs_since_gain=stale, error=0.1)).inputs["tau"]
        assert isinstance(found, float)
        return found

    assert [tau(stale) for stale in (0, 4, 5, 9, 10, 15, 10**9)] == [100, 100, 200, 200, 400, 600, 600]
    assert tau(10**9, value=0.51) == 100


def test_before_a_cost_is_known_a_save_is_due_at_once() -> None:
    assert said(AdaptivePolicy("val_dice"), moment(0.4, save_seconds=0.0, seconds_since_save=0.1)) == "save recovery"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overhead": 0}, "overhead: found 0, must be above 0, at most 1"),
        ({"overhead": 1.5}, "overhead: found 1.5"),
        ({"overhead": math.nan}, "overhead: found nan"),
        ({"mean_time_to_failure": 0}, "mean_time_to_failure: found 0, must be positive"),
        ({"mean_time_to_failure": math.inf}, "mean_time_to_failure: found inf"),
        ({"z": -1}, "z: found -1, must be 0 or more"),
        ({"patience": 0}, "patience: found 0, must be 1 or more epochs"),
        ({"max_backoff": 0.5}, "max_backoff: found 0.5, must be 1 or more"),
        ({"over_head": 0.1}, "found over_head; the options are overhead, mean_time_to_failure, z, patience"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make_save_policy("adaptive", **options)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="mode: found 'maximum'; use 'min' or 'max'"):
        AdaptivePolicy("val_dice", mode="maximum")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "inputs"),
    [
        (BestPolicy("val_dice"), {"value": 0.7, "best": 0.5}),
        (EpochPolicy(), {"epoch": 9, "last_epoch": -1}),
        (IntervalPolicy(epochs=3), {"epoch": 9, "epochs": 3}),
        (IntervalPolicy(minutes=2), {"seconds_since_save": 1.0, "minutes": 2}),
        (make_save_policy("all"), {"epoch": 9}),
    ],
)
def test_every_policy_says_what_it_looked_at(policy: SavePolicy, inputs: dict[str, float]) -> None:
    assert policy.decide(moment(0.7)).inputs == inputs


@given(st.dictionaries(st.text(max_size=2), st.tuples(finite, finite), min_size=2), finite)
def test_the_paired_error_ignores_what_both_share(pairs: dict[str, tuple[float, float]], shift: float) -> None:
    cases = {name: pair[0] for name, pair in pairs.items()}
    others = {name: pair[1] for name, pair in pairs.items()}
    error = paired_standard_error(cases, others)
    assert error is not None
    assert error >= 0
    assert paired_standard_error(others, cases) == pytest.approx(error)
    moved = paired_standard_error({name: value + shift for name, value in cases.items()}, others)
    assert moved == pytest.approx(error, rel=1e-6, abs=1e-6)
    assert paired_standard_error(cases, cases) == 0


@given(
    value=finite | st.just(math.nan),
    best=st.none() | finite,
    held=st.none() | finite,
    error=st.floats(0, 1e6),
    stale=st.integers(0, 10**6),
    since=st.floats(0, 1e9),
    cost=st.floats(0, 1e3),
    mode=st.sampled_from(["min", "max"]),
)
def test_what_leads_is_saved_or_held_and_what_does_not_is_never_held(
    value: float, best: float | None, held: float | None, error: float, stale: int, since: float, cost: float, mode: Any
) -> None:
    found = moment(
        value, best, held=held, error=error, epochs_since_gain=stale, seconds_since_save=since, save_seconds=cost
    )
    decision = AdaptivePolicy("val_dice", mode).decide(found)
    sign = 1 if mode == "max" else -1
    leads = math.isfinite(value) and all(sign * value > sign * other for other in (best, held) if other is not None)
    due = since > decision.inputs["tau"]
    assert decision.save or decision.hold == leads
    assert not (decision.hold and due)
    assert decision.save or not due
    assert not decision.save or due or leads
