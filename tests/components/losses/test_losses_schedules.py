"""Loss schedules: the rule of each, what they read, and going on after a resume."""

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from components.errors import InvalidInputError
from components.losses import (
    AdaptiveSchedule,
    CombinedLoss,
    ConstantSchedule,
    EnhancedBCELoss,
    EnhancedDiceLoss,
    LinearSchedule,
    LossManager,
    LossSchedule,
)

LOGITS = torch.tensor([[[[1.0, -1.0], [0.5, 2.0]]]])
TARGET = torch.tensor([[[[1, 0], [1, 0]]]])


def combined(dice: float = 0.5, bce: float = 0.5) -> CombinedLoss:
    return CombinedLoss({"dice": EnhancedDiceLoss(), "bce": EnhancedBCELoss()}, {"dice": dice, "bce": bce})


def losses(dice: float, bce: float) -> dict[str, float]:
    return {"loss_dice": dice, "loss_bce": bce, "val_dice": 0.5}


def test_constant_keeps_the_base_weights() -> None:
    loss = combined(0.7, 0.3)
    assert ConstantSchedule(loss).step(1, {}) == {"dice": 0.7, "bce": 0.3}


def test_linear_moves_by_epoch_over_the_full_budget() -> None:
    loss = combined(1.0, 0.0)
    schedule = LinearSchedule(loss, end={"dice": 0.2, "bce": 0.8}, epochs=4)
    seen = [schedule.step(epoch, {})["dice"] for epoch in range(1, 7)]
    assert seen == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.2, 0.2])
    assert loss.weights == {"dice": 0.2, "bce": 0.8}


def test_linear_ends_at_0_for_terms_left_out() -> None:
    assert LinearSchedule(combined(), end={"bce": 1.0}, epochs=1).step(1, {}) == {"dice": 0.0, "bce": 1.0}


def test_adaptive_trains_two_epochs_with_the_base_weights() -> None:
    loss = combined(0.7, 0.3)
    schedule = AdaptiveSchedule(loss)
    assert loss.weights == {"dice": 0.7, "bce": 0.3}
    assert schedule.step(1, losses(1.0, 0.1)) == {"dice": 0.7, "bce": 0.3}
    assert schedule.step(2, losses(1.0, 0.05)) != {"dice": 0.7, "bce": 0.3}


def test_adaptive_follows_equation_7_on_the_base_weights() -> None:
    loss = combined(0.6, 1.4)
    schedule = AdaptiveSchedule(loss, temperature=2.0)
    schedule.step(1, losses(1.0, 1.0))
    weights = schedule.step(2, losses(0.9, 0.5))
    raw_dice, raw_bce = 0.6 * math.exp(0.9 / 2), 1.4 * math.exp(0.5 / 2)
    assert weights["dice"] == pytest.approx(2.0 * raw_dice / (raw_dice + raw_bce))
    assert weights["bce"] == pytest.approx(2.0 * raw_bce / (raw_dice + raw_bce))
    assert loss.weights == weights


def test_adaptive_reads_the_two_newest_epochs() -> None:
    schedule = AdaptiveSchedule(combined())
    schedule.step(1, losses(1.0, 1.0))
    schedule.step(2, losses(0.2, 0.9))
    assert schedule.step(3, losses(0.1, 0.45)) == pytest.approx({"dice": 0.5, "bce": 0.5})  # both halved


def test_adaptive_leaves_a_term_of_base_weight_0_alone() -> None:
    schedule = AdaptiveSchedule(combined(1.0, 0.0))
    schedule.step(1, losses(1.0, 1.0))
    assert schedule.step(2, losses(0.5, 5.0)) == {"dice": 1.0, "bce": 0.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_adaptive_ignores_an_epoch_that_is_not_finite(bad: float) -> None:
    schedule = AdaptiveSchedule(combined())
    schedule.step(1, losses(1.0, 1.0))
    weights = schedule.step(2, losses(0.9, 0.5))
    assert schedule.step(3, losses(bad, 0.4)) == weights
    expected = math.exp(0.45 / 0.9 / 2) / (math.exp(0.45 / 0.9 / 2) + math.exp(0.5 / 0.5 / 2))
    assert schedule.step(4, losses(0.45, 0.5))["dice"] == pytest.approx(expected)


@pytest.mark.parametrize("pair", [(0.0, 0.0), (0.0, 1.0), (-1.0, 2.0), (1e-30, 1e30), (1.0, -5.0)])
def test_adaptive_stays_usable_with_odd_losses(pair: tuple[float, float]) -> None:
    schedule = AdaptiveSchedule(combined(0.6, 0.4))
    schedule.step(1, losses(pair[0], 1.0))
    weights = schedule.step(2, losses(pair[1], 1.0))
    assert all(weight > 0 for weight in weights.values())
    assert sum(weights.values()) == pytest.approx(1.0)


def test_adaptive_falls_back_to_the_means_that_the_loss_kept() -> None:
    loss = combined()
    schedule = AdaptiveSchedule(loss)
    means = []
    for epoch in (1, 2):
        for scale in (1.0, 3.0):
            loss((scale / epoch * LOGITS).requires_grad_(), TARGET)
        means.append(loss.epoch_means())
        schedule.step(epoch, {"val_dice": 0.5})
        assert loss.epoch_means() == {}
    told = AdaptiveSchedule(combined())
    for epoch, mean in enumerate(means, start=1):
        told.step(epoch, {f"loss_{name}": value for name, value in mean.items()})
    assert loss.weights == told.loss.weights
    assert loss.weights["dice"] != 0.5


def test_adaptive_without_any_losses_keeps_the_weights() -> None:
    schedule = AdaptiveSchedule(combined(0.7, 0.3))
    for epoch in (1, 2, 3):
        assert schedule.step(epoch, {"val_dice": 0.5}) == {"dice": 0.7, "bce": 0.3}


@pytest.mark.parametrize(
    "config",
    [
        {"type": "constant"},
        {"type": "linear", "end": {"dice": 0.1, "bce": 0.9}, "epochs": 6},
        {"type": "adaptive", "temperature": 1.5},
    ],
)
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resumed_equals_uninterrupted(config: dict[str, Any], stop: int) -> None:
    story = [losses(1 / epoch, 1 / math.sqrt(epoch)) for epoch in range(1, 7)]
    whole = LossManager.create_loss_scheduler(combined(0.7, 0.3), config)
    expected = [whole.step(epoch, metrics) for epoch, metrics in enumerate(story, start=1)]

    first = LossManager.create_loss_scheduler(combined(0.7, 0.3), config)
    for epoch in range(1, stop + 1):
        first.step(epoch, story[epoch - 1])
    state = json.loads(json.dumps(first.state_dict()))

    loss = combined(0.7, 0.3)
    loss.load_state_dict(first.loss.state_dict())
    resumed = LossManager.create_loss_scheduler(loss, config)
    resumed.load_state_dict(state)
    assert loss.weights == expected[stop - 1]
    assert [resumed.step(epoch, story[epoch - 1]) for epoch in range(stop + 1, 7)] == expected[stop:]


def test_an_epoch_that_runs_again_replaces_what_was_noted() -> None:
    schedule = AdaptiveSchedule(combined())
    schedule.step(1, losses(1.0, 1.0))
    weights = schedule.step(2, losses(0.9, 0.5))
    assert schedule.step(2, losses(0.9, 0.5)) == weights


def test_a_state_of_another_schedule_is_refused_and_changes_nothing() -> None:
    loss = combined(0.7, 0.3)
    schedule = AdaptiveSchedule(loss)
    with pytest.raises(InvalidInputError, match="schedule state: found keys"):
        schedule.load_state_dict(ConstantSchedule(combined()).state_dict())
    assert loss.weights == {"dice": 0.7, "bce": 0.3}


@pytest.mark.parametrize("epoch", [0, -1, 1.0, True])
def test_epochs_count_from_1(epoch: Any) -> None:
    with pytest.raises(InvalidInputError, match="the first epoch is 1"):
        ConstantSchedule(combined()).step(epoch, {})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LinearSchedule(combined(), end={"bec": 1.0}, epochs=3), "did you mean 'bce'"),
        (lambda: LinearSchedule(combined(), end={"bce": 0.0}, epochs=3), "at least one above 0"),
        (lambda: LinearSchedule(combined(), end=0.5, epochs=3), "end: found 0.5"),  # type: ignore[arg-type]
        (lambda: LinearSchedule(combined(), end={"bce": 1.0}, epochs=0), "epochs: found 0"),
        (lambda: AdaptiveSchedule(combined(), temperature=0.0), "temperature: found 0.0"),
        (lambda: ConstantSchedule(nn.BCEWithLogitsLoss()), "BCEWithLogitsLoss, which has no weights.*CombinedLoss"),  # type: ignore[arg-type]
    ],
)
def test_constructors_refuse_what_does_not_fit(build: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build()


positive = st.floats(1e-3, 1e3)


@settings(max_examples=60, deadline=None)
@given(base=st.tuples(positive, positive), story=st.lists(st.tuples(positive, positive), min_size=2, max_size=5))
def test_adaptive_keeps_the_total_of_the_base_weights(
    base: tuple[float, float], story: list[tuple[float, float]]
) -> None:
    schedule: LossSchedule = AdaptiveSchedule(combined(*base))
    for epoch, pair in enumerate(story, start=1):
        weights = schedule.step(epoch, losses(*pair))
        assert sum(weights.values()) == pytest.approx(sum(base))
