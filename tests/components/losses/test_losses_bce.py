"""Pixel losses: values a reader can check, stability, gradients and properties."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss

LOG2 = math.log(2)
# Logits of probability 0.8 and 0.4, in double.
LOGITS = torch.tensor([[[[0.8, 0.4]]]], dtype=torch.float64).logit()
TARGET = torch.tensor([[[[1, 0]]]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, -(math.log(0.8) + math.log(0.6)) / 2),
        ({"pos_weight": 3.0}, -(3 * math.log(0.8) + math.log(0.6)) / 2),
        (
            {"label_smoothing": 0.2},
            -(0.9 * math.log(0.8) + 0.1 * math.log(0.2) + 0.1 * math.log(0.4) + 0.9 * math.log(0.6)) / 2,
        ),
        ({"variant": "focal"}, -(0.2**2 * math.log(0.8) + 0.4**2 * math.log(0.6)) / 2),
        ({"variant": "focal", "gamma": 0.0}, -(math.log(0.8) + math.log(0.6)) / 2),
        (
            {"variant": "focal", "gamma": 1.0, "alpha": 0.25},
            -(0.25 * 0.2 * math.log(0.8) + 0.75 * 0.4 * math.log(0.6)) / 2,
        ),
    ],
)
def test_binary_values_follow_their_formulas(options: dict[str, Any], expected: float) -> None:
    assert EnhancedBCELoss(**options)(LOGITS, TARGET).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("variant", ["bce", "focal"])
def test_multilabel_class_weights_multiply_their_channel(variant: Any) -> None:
    logits = torch.zeros(1, 2, 1, 1)
    target = torch.ones(1, 2, 1, 1)
    value = EnhancedBCELoss("multilabel", variant, gamma=1.0, class_weights=[1.0, 3.0])(logits, target).item()
    pixel = LOG2 if variant == "bce" else 0.5 * LOG2
    assert value == pytest.approx((1 + 3) * pixel / 2, abs=1e-6)


def test_multilabel_takes_one_pos_weight_per_class() -> None:
    value = EnhancedBCELoss("multilabel", pos_weight=[1.0, 5.0])(torch.zeros(1, 2, 1, 1), torch.ones(1, 2, 1, 1))
    assert value.item() == pytest.approx((1 + 5) * LOG2 / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, -(math.log(0.5) + math.log(0.3)) / 2),
        ({"variant": "focal", "gamma": 2.0}, -(0.25 * math.log(0.5) + 0.49 * math.log(0.3)) / 2),
        ({"class_weights": [1.0, 3.0, 1.0]}, -(math.log(0.5) + 3 * math.log(0.3)) / 4),
        (
            {"variant": "focal", "gamma": 1.0, "class_weights": [1.0, 3.0, 1.0]},
            -(0.5 * math.log(0.5) + 3 * 0.7 * math.log(0.3)) / 4,
        ),
    ],
)
def test_multiclass_values_follow_their_formulas(options: dict[str, Any], expected: float) -> None:
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], dtype=torch.float64)  # two pixels
    logits = probs.log().T.reshape(1, 3, 1, 2)
    value = EnhancedBCELoss("multiclass", **options)(logits, torch.tensor([[[0, 1]]])).item()
    assert value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0]])
def test_softmax_focal_at_gamma_0_is_cross_entropy(smoothing: float, weights: list[float] | None) -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=generator)
    target = torch.randint(0, 3, (2, 4, 4), generator=generator)
    options: dict[str, Any] = {"label_smoothing": smoothing, "class_weights": weights}
    focal = EnhancedBCELoss("multiclass", "focal", gamma=0.0, **options)(logits, target).item()
    assert focal == pytest.approx(EnhancedBCELoss("multiclass", **options)(logits, target).item(), abs=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("mode", ["binary", "multiclass"])
@pytest.mark.parametrize("logit", [0.0, 90.0, 1e4])
def test_extreme_logits_have_finite_values_and_gradients(mode: Any, gamma: float, logit: float) -> None:
    channels = 1 if mode == "binary" else 2
    for truth in (0, 1):
        logits = torch.zeros(1, channels, 1, 1)
        logits[:, -1] = logit
        logits.requires_grad_()
        value = EnhancedBCELoss(mode, "focal", gamma=gamma)(logits, torch.full((1, 1, 1), truth))
        value.backward()
        assert logits.grad is not None
        assert torch.isfinite(value)
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("variant", ["bce", "focal"])
@pytest.mark.parametrize(("mode", "shape"), [("binary", (2, 1, 3, 2)), ("multiclass", (1, 3, 2, 2, 2))])
def test_gradients_match_finite_differences(variant: Any, mode: Any, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    classes = 3 if mode == "multiclass" else 2
    target = torch.randint(0, classes, (shape[0], *shape[2:]), generator=generator)
    loss = EnhancedBCELoss(mode, variant, label_smoothing=0.1)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "focla"}, "did you mean 'focal'"),
        ({"gamma": -1.0}, "gamma: found -1.0"),
        ({"variant": "focal", "alpha": 1.5}, "alpha: found 1.5; .* at least 0 and at most 1"),
        ({"alpha": 0.25}, "variant 'bce' does not take it"),
        ({"variant": "focal", "pos_weight": 2.0}, "variant 'focal' does not take it. Hint: use alpha"),
        ({"pos_weight": 0.0}, "pos_weight: found 0.0"),
        ({"label_smoothing": 1.0}, "label_smoothing: found 1"),
        ({"class_weights": [1.0, 2.0]}, "mode 'binary' has one class. Hint: use pos_weight"),
        ({"mode": "multiclass", "pos_weight": 2.0}, "pos_weight: mode 'multiclass'.*class_weights"),
        ({"mode": "multiclass", "variant": "focal", "alpha": 0.25}, "alpha: mode 'multiclass'.*class_weights"),
    ],
)
def test_constructor_refuses_what_does_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        EnhancedBCELoss(**options)


@pytest.mark.parametrize("option", ["pos_weight", "class_weights"])
def test_per_class_options_must_count_the_classes(option: str) -> None:
    loss = EnhancedBCELoss("multilabel", **{option: [1.0, 2.0]})  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=f"{option}: found 2 entries for 3 classes"):
        loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    gamma=st.floats(0, 5),
    classes=st.integers(2, 4),
    spatial=st.lists(st.integers(1, 4), min_size=2, max_size=3),
)
def test_focal_is_never_above_cross_entropy(seed: int, gamma: float, classes: int, spatial: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(2, classes, *spatial, generator=generator)
    target = torch.randint(0, classes, (2, *spatial), generator=generator)
    entropy = EnhancedBCELoss("multiclass")(logits, target).item()
    focal = EnhancedBCELoss("multiclass", "focal", gamma=gamma)(logits, target).item()
    assert -1e-6 <= focal <= entropy * (1 + 1e-5) + 1e-6
    flipped = EnhancedBCELoss("multiclass", "focal", gamma=gamma)(logits.flip(0), target.flip(0)).item()
    assert flipped == pytest.approx(focal, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("variant", ["bce", "focal"])
@pytest.mark.parametrize("spatial", [(4, 4), (2, 3, 4)])
def test_perfect_prediction_costs_next_to_nothing(variant: Any, spatial: tuple[int, ...]) -> None:
    target = torch.arange(math.prod(spatial)).reshape(1, 1, *spatial) % 2
    assert EnhancedBCELoss(variant=variant)(40.0 * (2.0 * target - 1), target).item() < 1e-6
