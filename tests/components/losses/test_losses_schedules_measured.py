"""Schedules that follow the training, each beside its formula written out with numpy."""

import random

import numpy as np
import pytest

from components.errors import InvalidInputError
from components.losses import (
    AdaptiveSchedule,
    CombinedLoss,
    DWASchedule,
    GradientNormSchedule,
    LossManager,
    ReLoBRaLoSchedule,
    SoftAdaptSchedule,
    UWSOSchedule,
)
from components.losses.schedules.measuring import MeasuringSchedule
from tests.schedules import LOGITS, TARGET, combined, losses, norms

BASE = np.array([0.6, 1.4])
STORY = np.array([[1.0, 0.8], [0.9, 0.5], [0.7, 0.45], [0.72, 0.2], [0.3, 0.21]])


def run(schedule: MeasuringSchedule, story: np.ndarray = STORY) -> list[np.ndarray]:
    """Weights after each epoch."""
    return [
        np.array(list(schedule.step(epoch, losses(*row) | norms(*row)).values())) for epoch, row in enumerate(story, 1)
    ]


def base_loss() -> CombinedLoss:
    return combined(*BASE)


def softmax(values: np.ndarray) -> np.ndarray:
    raw = np.exp(values)
    return np.asarray(raw / raw.sum())


def weighted(factors: np.ndarray) -> np.ndarray:
    raw = BASE * factors
    return np.asarray(raw * BASE.sum() / raw.sum())


@pytest.mark.parametrize(("strength", "smoothing"), [(1.0, 0.5), (2.0, 0.0), (0.5, 0.8)])
def test_adaptive_weighs_by_relative_progress_since_the_first_epoch(strength: float, smoothing: float) -> None:
    seen = run(AdaptiveSchedule(base_loss(), strength=strength, smoothing=smoothing))
    mean = STORY[0]
    for weights, row in zip(seen, STORY, strict=True):
        mean = smoothing * mean + (1 - smoothing) * row
        progress = mean / STORY[0]
        assert weights == pytest.approx(weighted((progress / progress.mean()) ** strength))


def test_adaptive_trains_the_second_epoch_with_exactly_the_base_weights() -> None:
    assert AdaptiveSchedule(combined(0.7, 0.3)).step(1, losses(1.0, 0.1)) == {"dice": 0.7, "bce": 0.3}


def test_adaptive_gives_more_to_what_has_fallen_least() -> None:
    schedule = AdaptiveSchedule(combined())
    schedule.step(1, losses(1.0, 10.0))
    assert schedule.step(2, losses(0.9, 5.0))["dice"] > 0.5
    assert AdaptiveSchedule(combined(), strength=0.0).step(2, losses(0.9, 5.0)) == {"dice": 0.5, "bce": 0.5}


def test_adaptive_bounds_the_progress_of_a_loss_that_is_0() -> None:
    schedule = AdaptiveSchedule(combined(), smoothing=0.0)
    schedule.step(1, losses(1.0, 1.0))
    assert schedule.step(2, losses(1.0, 0.0)) == pytest.approx({"dice": 1 / 1.01, "bce": 0.01 / 1.01})
    zero_at_first = AdaptiveSchedule(combined(), smoothing=0.0)
    zero_at_first.step(1, losses(0.0, 1.0))
    assert zero_at_first.step(2, losses(5.0, 1.0)) == {"dice": 0.5, "bce": 0.5}


def test_dwa_follows_equation_7_on_the_base_weights() -> None:
    seen = run(DWASchedule(base_loss(), temperature=1.5))
    assert seen[0] == pytest.approx(BASE)
    for before, last, weights in zip(STORY[:-1], STORY[1:], seen[1:], strict=True):
        assert weights == pytest.approx(weighted(softmax(last / before / 1.5)))


def test_dwa_reads_the_two_newest_epochs() -> None:
    schedule = DWASchedule(combined())
    schedule.step(1, losses(1.0, 1.0))
    schedule.step(2, losses(0.2, 0.9))
    assert schedule.step(3, losses(0.1, 0.45)) == pytest.approx({"dice": 0.5, "bce": 0.5})  # both halved


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("loss_weighted", [False, True])
def test_softadapt_is_a_softmax_of_slopes(normalized: bool, loss_weighted: bool) -> None:  # noqa: FBT001
    schedule = SoftAdaptSchedule(base_loss(), beta=3.0, normalized=normalized, loss_weighted=loss_weighted)
    seen = run(schedule)
    assert seen[0] == pytest.approx(BASE)
    for before, last, weights in zip(STORY[:-1], STORY[1:], seen[1:], strict=True):
        slopes = last - before
        if normalized:
            slopes = slopes / np.abs(slopes).sum()
        assert weights == pytest.approx(weighted(np.exp(3.0 * slopes) * (last if loss_weighted else 1.0)))


def test_softadapt_of_losses_that_stand_still_keeps_the_base_weights() -> None:
    assert run(SoftAdaptSchedule(base_loss()), np.ones((2, 2)))[1] == pytest.approx(BASE)


@pytest.mark.parametrize(("alpha", "rho"), [(0.9, 0.5), (0.5, 1.0), (0.7, 0.0)])
def test_relobralo_mixes_the_past_and_looks_back_at_random(alpha: float, rho: float) -> None:
    seen = run(ReLoBRaLoSchedule(base_loss(), alpha=alpha, rho=rho, temperature=0.5, seed=4))
    factors = np.ones(2)
    assert seen[0] == pytest.approx(BASE)
    for epoch in range(2, len(STORY) + 1):
        last = STORY[epoch - 1]
        ahead = random.Random(f"4/{epoch}").random() < rho
        past = factors if ahead else 2 * softmax(last / STORY[0] / 0.5)
        factors = alpha * past + (1 - alpha) * 2 * softmax(last / STORY[epoch - 2] / 0.5)
        assert seen[epoch - 1] == pytest.approx(weighted(factors))


def test_relobralo_goes_on_with_the_seed_of_its_state() -> None:
    def seeded(seed: int) -> ReLoBRaLoSchedule:
        return ReLoBRaLoSchedule(base_loss(), rho=0.5, seed=seed)

    expected, other = [run(seeded(seed), np.tile(STORY, (3, 1))) for seed in (1, 2)]
    assert not np.array_equal(expected, other)
    resumed = seeded(2)
    resumed.load_state_dict(seeded(1).state_dict())
    assert np.array_equal(run(resumed, np.tile(STORY, (3, 1))), expected)


def test_uwso_is_a_softmax_of_inverse_losses() -> None:
    for weights, row in zip(run(UWSOSchedule(base_loss(), temperature=4.0)), STORY, strict=True):
        assert weights == pytest.approx(weighted(softmax(1 / row / 4.0)))


def test_uwso_of_two_losses_that_are_0_keeps_the_base_weights() -> None:
    assert UWSOSchedule(combined(0.7, 0.3)).step(1, losses(0.0, 0.0)) == pytest.approx({"dice": 0.7, "bce": 0.3})


def test_gradient_norm_makes_weighted_norms_proportional_to_the_base_weights() -> None:
    for weights, row in zip(run(GradientNormSchedule(base_loss(), smoothing=0.0)), STORY, strict=True):
        shares = weights * row
        assert shares / shares.sum() == pytest.approx(BASE / BASE.sum())
        assert weights.sum() == pytest.approx(BASE.sum())


def test_gradient_norm_smooths_over_epochs() -> None:
    mean = STORY[0]
    for weights, row in zip(run(GradientNormSchedule(base_loss(), smoothing=0.8)), STORY, strict=True):
        mean = 0.8 * mean + 0.2 * row
        assert weights == pytest.approx(weighted(1 / mean))


def test_gradient_norm_bounds_a_gradient_that_has_gone() -> None:
    gone = GradientNormSchedule(combined()).step(1, norms(1.0, 0.0))
    assert gone["bce"] / gone["dice"] == pytest.approx(1000)
    assert GradientNormSchedule(combined(0.7, 0.3)).step(1, norms(0.0, 0.0)) == {"dice": 0.7, "bce": 0.3}


def test_gradient_norm_measures_where_a_script_hands_it_nothing() -> None:
    loss = combined(0.5, 0.5)
    schedule = GradientNormSchedule(loss)
    logits = LOGITS.clone().requires_grad_()
    for _ in range(3):
        loss(logits, TARGET).backward()
    weights = schedule.step(1, {})
    norms = loss.breakdown(logits, TARGET, gradients=True).gradient_norms
    assert weights["dice"] * norms["dice"].item() == pytest.approx(weights["bce"] * norms["bce"].item())


def test_gradient_norm_does_not_take_losses_for_norms() -> None:
    assert GradientNormSchedule(combined()).step(1, losses(1.0, 9.0)) == {"dice": 0.5, "bce": 0.5}


@pytest.mark.parametrize("kind", [AdaptiveSchedule, DWASchedule, SoftAdaptSchedule, ReLoBRaLoSchedule, UWSOSchedule])
def test_losses_come_from_the_means_that_the_loss_kept(kind: type[MeasuringSchedule]) -> None:
    loss = combined()
    schedule, told = kind(loss), kind(combined())
    for epoch in (1, 2):
        for scale in (1.0, 3.0):
            loss((scale / epoch * LOGITS).requires_grad_(), TARGET)
        means = loss.epoch_means()
        schedule.step(epoch, {"val_dice": 0.5, "loss_dice": 99.0})  # one term alone would not be of the same kind
        assert loss.epoch_means() == {}
        told.step(epoch, {f"loss_{name}": value for name, value in means.items()})
    assert loss.weights == told.loss.weights
    assert loss.weights["dice"] != 0.5


@pytest.mark.parametrize("kind", ["uwso", "uncertainty"])
@pytest.mark.parametrize("negative", [{"boundary": {}}, {"dice": {"convention": "nnunet"}}])
def test_a_term_that_may_fall_below_0_is_refused_where_it_would_get_all_the_weight(
    kind: str, negative: dict[str, dict[str, str]]
) -> None:
    loss = LossManager.create_loss_function({"terms": {"bce": {}, **negative}})
    with pytest.raises(InvalidInputError, match="may fall below 0"):
        LossManager.create_loss_scheduler(loss, {"type": kind})
    (name,) = negative
    loss.weights = {"bce": 1.0}
    assert LossManager.create_loss_scheduler(loss, {"type": kind}).step(1, losses(1.0, 1.0))[name] == 0
