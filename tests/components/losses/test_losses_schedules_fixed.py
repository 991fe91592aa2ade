"""Schedules that do not look at the training: constant, linear, cosine, step, steal, random."""

import math
from typing import Any

import numpy as np
import pytest

from components.losses import (
    CombinedLoss,
    ConstantSchedule,
    CosineSchedule,
    EnhancedBCELoss,
    EnhancedDiceLoss,
    LinearSchedule,
    RandomSchedule,
    StealSchedule,
    StepSchedule,
)
from tests.schedules import combined, losses


def test_constant_keeps_the_base_weights() -> None:
    assert ConstantSchedule(combined(0.7, 0.3)).step(1, losses(1.0, 9.0)) == {"dice": 0.7, "bce": 0.3}


def test_linear_moves_by_epoch_over_the_full_budget() -> None:
    loss = combined(1.0, 0.0)
    schedule = LinearSchedule(loss, end={"dice": 0.2, "bce": 0.8}, epochs=4)
    seen = [schedule.step(epoch, {})["dice"] for epoch in range(1, 7)]
    assert seen == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.2, 0.2])
    assert loss.weights == {"dice": 0.2, "bce": 0.8}


def test_cosine_is_half_a_cosine_over_the_full_budget() -> None:
    schedule = CosineSchedule(combined(1.0, 0.0), end={"dice": 0.2, "bce": 0.8}, epochs=4)
    seen = [schedule.step(epoch, {})["dice"] for epoch in range(1, 7)]
    progress = np.minimum(np.arange(1, 7) / 4, 1)
    assert seen == pytest.approx(0.2 + 0.8 * (1 + np.cos(np.pi * progress)) / 2)
    assert seen[1] == pytest.approx(0.6)  # half way at half the budget


@pytest.mark.parametrize("kind", [LinearSchedule, CosineSchedule])
def test_terms_left_out_end_at_0(kind: Any) -> None:
    assert kind(combined(), end={"bce": 1.0}, epochs=1).step(1, {}) == {"dice": 0.0, "bce": 1.0}


@pytest.mark.parametrize(
    "milestones",
    [
        {3: {"dice": 0.5, "bce": 0.5}, 5: {"bce": 1.0}},
        {"5": {"bce": 1.0}, "3": {"dice": 0.5, "bce": 0.5}},
        [(5, {"bce": 1.0}), (3, {"dice": 0.5, "bce": 0.5})],
        [[3, {"dice": 0.5, "bce": 0.5}], [5, {"bce": 1.0}]],
    ],
)
def test_step_takes_the_weights_of_a_milestone_from_its_epoch_on(milestones: Any) -> None:
    schedule = StepSchedule(combined(1.0, 0.0), milestones=milestones)
    trained_with = {1: schedule.loss.weights["dice"]}
    trained_with |= {epoch + 1: schedule.step(epoch, {})["dice"] for epoch in range(1, 7)}
    assert trained_with == {1: 1.0, 2: 1.0, 3: 0.5, 4: 0.5, 5: 0.0, 6: 0.0, 7: 0.0}


def test_steal_moves_delta_an_epoch_and_leaves_the_source_its_floor() -> None:
    schedule = StealSchedule(combined(1.0, 0.01), target="bce", delta=0.4)
    seen = [schedule.step(epoch, {}) for epoch in range(1, 5)]
    assert [weights["dice"] for weights in seen] == pytest.approx([0.6, 0.2, 0.1, 0.1])
    assert [weights["bce"] for weights in seen] == pytest.approx([0.41, 0.81, 1.21, 1.61])


def test_steal_takes_from_all_others_unless_sources_are_named() -> None:
    terms = {"dice": EnhancedDiceLoss(), "bce": EnhancedBCELoss(), "jaccard": EnhancedDiceLoss(variant="jaccard")}
    weights = {"dice": 0.5, "bce": 0.4, "jaccard": 0.0}
    every = StealSchedule(CombinedLoss(terms, weights), target="jaccard", delta=0.1)
    assert every.step(1, {}) == pytest.approx({"dice": 0.4, "bce": 0.3, "jaccard": 0.1})
    one = StealSchedule(CombinedLoss(terms, weights), target="jaccard", source=["bce"], delta=0.1)
    assert one.step(1, {}) == pytest.approx({"dice": 0.5, "bce": 0.3, "jaccard": 0.1})


def test_steal_leaves_a_source_below_the_floor_as_it_is() -> None:
    schedule = StealSchedule(combined(0.05, 0.5), target="bce", source="dice")
    assert schedule.step(9, {})["dice"] == 0.05


def test_steal_finds_nothing_to_take_where_the_target_has_all_the_weight() -> None:
    schedule = StealSchedule(combined(0.0, 1.0), target="bce")
    assert schedule.step(1, {}) == {"dice": 0.0, "bce": 1.01}


def test_random_is_a_softmax_of_standard_normal_draws() -> None:
    schedule = RandomSchedule(combined(), seed=1)
    odds = [schedule.step(epoch, {}) for epoch in range(1, 3001)]
    differences = np.array([math.log(weights["dice"] / weights["bce"]) for weights in odds])  # of two N(0, 1)
    assert abs(differences.mean()) < 0.1
    assert differences.std() == pytest.approx(math.sqrt(2), rel=0.05)
    assert all(sum(weights.values()) == pytest.approx(1.0) for weights in odds)


def test_random_multiplies_the_base_weights() -> None:
    even, uneven = (
        RandomSchedule(combined(), seed=1).step(4, {}),
        RandomSchedule(combined(0.8, 0.2), seed=1).step(4, {}),
    )
    assert uneven["dice"] / uneven["bce"] == pytest.approx(4 * even["dice"] / even["bce"])


def test_random_draws_by_seed_and_epoch_alone() -> None:
    first, second = RandomSchedule(combined(), seed=1), RandomSchedule(combined(), seed=1)
    first.step(1, {})
    assert first.step(2, {}) == second.step(2, {})
    assert RandomSchedule(combined(), seed=2).step(2, {}) != second.step(2, {})
    second.load_state_dict(RandomSchedule(combined(), seed=2).state_dict())
    assert second.step(2, {}) == RandomSchedule(combined(), seed=2).step(2, {})
