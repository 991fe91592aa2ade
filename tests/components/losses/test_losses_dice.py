"""Region losses: values a reader can check, edge cases, gradients and properties."""

import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.errors import InvalidInputError
from components.losses import EnhancedDiceLoss
from components.losses.dice import DiceVariant

VARIANTS: tuple[DiceVariant, ...] = get_args(DiceVariant)
NO_SMOOTHING: dict[str, Any] = {"smooth_nr": 0.0, "smooth_dr": 1e-12}


def one_row(probs: list[float]) -> Tensor:
    """Logits `(1, 1, 1, W)` of the given probabilities, in double."""
    return torch.tensor(probs, dtype=torch.float64).logit().reshape(1, 1, 1, -1)


# p = (0.8, 0.6, 0.4, 0.2), g = (1, 1, 0, 0): overlap 1.4, predicted 2, truth 2.
LOGITS = one_row([0.8, 0.6, 0.4, 0.2])
TARGET = torch.tensor([[[[1, 1, 0, 0]]]])


@pytest.mark.parametrize(
    ("variant", "options", "expected"),
    [
        ("dice", {}, 1 - 2.8 / 4),
        ("jaccard", {}, 1 - 1.4 / 2.6),
        ("tversky", {}, 1 - 1.4 / (1.4 + 0.3 * 0.6 + 0.7 * 0.6)),
        ("tversky", {"alpha": 0.5, "beta": 0.5}, 0.3),
        ("tversky", {"alpha": 1.0, "beta": 1.0}, 1 - 1.4 / 2.6),
        ("focal_tversky", {"gamma": 4 / 3}, 0.3**0.75),
        ("focal_tversky", {"gamma": 1.0}, 0.3),
    ],
)
def test_variants_give_the_values_of_their_formulas(
    variant: DiceVariant, options: dict[str, Any], expected: float
) -> None:
    loss = EnhancedDiceLoss(variant=variant, **NO_SMOOTHING, **options)
    assert loss(LOGITS, TARGET).item() == pytest.approx(expected, abs=1e-9)


def test_beta_weighs_misses_and_alpha_weighs_false_alarms() -> None:
    misses = one_row([0.9, 0.1, 0.1, 0.1])
    alarms = one_row([0.9, 0.9, 0.9, 0.1])
    loss = EnhancedDiceLoss(variant="tversky", alpha=0.1, beta=0.9)
    mirrored = EnhancedDiceLoss(variant="tversky", alpha=0.9, beta=0.1)
    assert loss(misses, TARGET) > mirrored(misses, TARGET)
    assert loss(alarms, TARGET) < mirrored(alarms, TARGET)


def test_smoothing_enters_numerator_and_denominator() -> None:
    loss = EnhancedDiceLoss(smooth_nr=1.0, smooth_dr=2.0)
    assert loss(LOGITS, TARGET).item() == pytest.approx(1 - 3.8 / 6, abs=1e-9)


def test_mean_is_per_sample_unless_pooled_over_the_batch() -> None:
    logits = torch.cat([LOGITS, one_row([0.5, 0.5, 0.5, 0.5])])
    target = torch.cat([TARGET, torch.tensor([[[[1, 0, 0, 0]]]])])
    per_sample = EnhancedDiceLoss(**NO_SMOOTHING)(logits, target).item()
    pooled = EnhancedDiceLoss(batch=True, **NO_SMOOTHING)(logits, target).item()
    assert per_sample == pytest.approx((0.3 + (1 - 1 / 3)) / 2, abs=1e-9)
    assert pooled == pytest.approx(1 - 2 * 1.9 / (4 + 3), abs=1e-9)


def test_background_is_left_out_on_request() -> None:
    logits = torch.zeros(1, 3, 1, 4, dtype=torch.float64)  # every probability 1/3
    target = torch.tensor([[[0, 0, 1, 2]]])

    def region(truth: float) -> float:
        return 1 - 2 * (truth / 3) / (4 / 3 + truth)

    full = EnhancedDiceLoss("multiclass", **NO_SMOOTHING)(logits, target).item()
    foreground = EnhancedDiceLoss("multiclass", include_background=False, **NO_SMOOTHING)(logits, target).item()
    assert full == pytest.approx((region(2) + 2 * region(1)) / 3, abs=1e-9)
    assert foreground == pytest.approx(region(1), abs=1e-9)


def test_class_weights_multiply_each_class_before_the_mean() -> None:
    logits = torch.cat([LOGITS, one_row([0.5, 0.5, 0.5, 0.5])], dim=1)
    target = torch.cat([TARGET, TARGET], dim=1)
    loss = EnhancedDiceLoss("multilabel", class_weights=[2.0, 0.5], **NO_SMOOTHING)
    assert loss(logits, target).item() == pytest.approx((2 * 0.3 + 0.5 * 0.5) / 2, abs=1e-7)


def test_class_weights_count_the_classes_that_are_scored() -> None:
    logits, target = torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long)
    EnhancedDiceLoss("multiclass", include_background=False, class_weights=[1.0, 2.0])(logits, target)
    with pytest.raises(InvalidInputError, match="class_weights: found 2 entries for 3 classes"):
        EnhancedDiceLoss("multiclass", class_weights=[1.0, 2.0])(logits, target)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("smooth", [1e-5, 0.0])
def test_a_saturated_prediction_has_a_finite_gradient(variant: DiceVariant, smooth: float) -> None:
    target = torch.tensor([[[[1.0, 0.0]]]])
    for sign in (1.0, -1.0):
        logits = (sign * 200 * (2 * target - 1)).requires_grad_()
        value = EnhancedDiceLoss(variant=variant, smooth_nr=smooth)(logits, target)
        value.backward()
        assert value.item() == pytest.approx(0.0 if sign > 0 else 1.0, abs=1e-3)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_summed_in_fp32() -> None:
    # 300 x 300 pixels of probability 1 sum to 90,000, more than fp16 holds.
    logits = torch.full((1, 1, 300, 300), 20.0, dtype=torch.float16)
    value = EnhancedDiceLoss()(logits, torch.ones(1, 1, 300, 300))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_autocast_does_not_change_the_value(mode: Any) -> None:
    channels = 1 if mode == "binary" else 3
    logits = torch.randn(2, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    target = (torch.arange(128).reshape(2, 8, 8) % 2).long()
    loss = EnhancedDiceLoss(mode)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(logits, target)
    assert torch.equal(inside, loss(logits, target))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("mode", "shape"), [("binary", (2, 1, 3, 2)), ("multiclass", (1, 3, 2, 2, 2))])
def test_gradients_match_finite_differences(variant: DiceVariant, mode: Any, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    classes = 3 if mode == "multiclass" else 2
    target = torch.randint(0, classes, (shape[0], *shape[2:]), generator=generator)
    loss = EnhancedDiceLoss(mode, variant)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "multi_class"}, "mode: found 'multi_class'.*did you mean 'multiclass'"),
        ({"variant": "tverski"}, "variant: found 'tverski'.*did you mean 'tversky'"),
        ({"alpha": -0.1}, "alpha: found -0.1"),
        ({"beta": math.nan}, "beta: found nan"),
        ({"gamma": 0.0}, "gamma: found 0.0; expected a finite number above 0"),
        ({"smooth_dr": 0.0}, "smooth_dr: found 0.0"),
        ({"smooth_nr": True}, "smooth_nr: found True"),
        ({"include_background": False}, "mode 'binary' has no background channel"),
        ({"class_weights": [1.0]}, "mode 'binary' has one class"),
        ({"mode": "multilabel", "class_weights": [0.0, 0.0]}, "class_weights: found"),
        ({"mode": "multilabel", "class_weights": "heavy"}, "class_weights: found 'heavy'"),
        ({"mode": "multilabel", "class_weights": [1.0, -1.0]}, "numbers >= 0"),
    ],
)
def test_constructor_refuses_what_does_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        EnhancedDiceLoss(**options)


@st.composite
def binary_batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    cases = draw(st.integers(1, 3))
    spatial = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=3)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.floats(0.1, 30.0))
    logits = scale * torch.randn(cases, 1, *spatial, generator=generator)
    return logits, torch.randint(0, 2, (cases, 1, *spatial), generator=generator)


@settings(max_examples=40, deadline=None)
@given(batch=binary_batches(), variant=st.sampled_from(VARIANTS), pooled=st.booleans())
def test_value_lies_between_0_and_1(batch: tuple[Tensor, Tensor], variant: DiceVariant, pooled: bool) -> None:  # noqa: FBT001
    value = EnhancedDiceLoss(variant=variant, batch=pooled)(*batch).item()
    assert -1e-6 <= value <= 1 + 1e-6


@settings(max_examples=30, deadline=None)
@given(batch=binary_batches(), variant=st.sampled_from(VARIANTS), pooled=st.booleans())
def test_order_of_cases_does_not_matter(batch: tuple[Tensor, Tensor], variant: DiceVariant, pooled: bool) -> None:  # noqa: FBT001
    logits, target = batch
    loss = EnhancedDiceLoss(variant=variant, batch=pooled)
    assert loss(logits.flip(0), target.flip(0)).item() == pytest.approx(loss(logits, target).item(), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(batch=binary_batches(), variant=st.sampled_from(VARIANTS))
def test_perfect_prediction_costs_next_to_nothing(batch: tuple[Tensor, Tensor], variant: DiceVariant) -> None:
    target = batch[1]
    assert EnhancedDiceLoss(variant=variant)(60.0 * (2.0 * target - 1), target).item() < 1e-4
