"""Identities between losses, over drawn batches of all modes, 2D and 3D."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.losses import LossManager
from components.losses.kinds import build_term

Batch = tuple[Any, Tensor, Tensor]


@st.composite
def batches(draw: st.DrawFn, modes: tuple[str, ...] = ("binary", "multilabel", "multiclass")) -> Batch:
    """Mode, double logits and hard labels."""
    mode = draw(st.sampled_from(modes))
    spatial = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=3)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    cases, classes = draw(st.integers(1, 3)), 1 if mode == "binary" else draw(st.integers(2, 4))
    logits = draw(st.floats(0.1, 8.0)) * torch.randn(cases, classes, *spatial, dtype=torch.double, generator=generator)
    shape, labels = ((cases, *spatial), classes) if mode == "multiclass" else (tuple(logits.shape), 2)
    return mode, logits, torch.randint(0, labels, shape, generator=generator)


def values(batch: Batch, *terms: tuple[str, dict[str, Any]]) -> list[float]:
    mode, logits, target = batch
    return [build_term(kind, mode, options)(logits, target).item() for kind, options in terms]


# Two losses that are the same number for every batch.
SAME: dict[str, tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "focal at gamma 0 is cross-entropy": (("focal", {"gamma": 0.0}), ("bce", {})),
    "cross-entropy of all pixels is that of the hardest": (("topk", {"share": 1.0}), ("bce", {})),
    "Tversky at ½ and ½ is Dice, with half its smoothing": (
        ("tversky", {"alpha": 0.5, "beta": 0.5, "smooth_nr": 5e-6, "smooth_dr": 5e-6}),
        ("dice", {}),
    ),
    "Tversky at 1 and 1 is Jaccard, with half its smoothing": (
        ("tversky", {"alpha": 1.0, "beta": 1.0, "smooth_nr": 5e-6, "smooth_dr": 5e-6}),
        ("jaccard", {}),
    ),
    "focal Tversky at gamma 1 is Tversky": (
        ("focal_tversky", {"alpha": 0.3, "beta": 0.7, "gamma": 1.0}),
        ("tversky", {"alpha": 0.3, "beta": 0.7}),
    ),
    "the Dice semimetric is Dice for hard labels": (("dice_semimetric", {}), ("dice", {})),
    "no smoothing of labels is none": (("bce", {"label_smoothing": 0.0}), ("bce", {})),
    "the unified focal loss is its region part at weight 1": (
        ("unified_focal", {"weight": 1.0, "delta": 0.6, "gamma": 0.5}),
        ("asymmetric_focal_tversky", {"delta": 0.6, "gamma": 0.5}),
    ),
    "the unified focal loss is its pixel part at weight 0": (
        ("unified_focal", {"weight": 0.0, "delta": 0.6, "gamma": 0.5}),
        ("asymmetric_focal", {"delta": 0.6, "gamma": 0.5}),
    ),
}


@pytest.mark.parametrize("name", list(SAME))
@settings(max_examples=40, deadline=None)
@given(batch=batches())
def test_these_are_the_same(name: str, batch: Batch) -> None:
    one, other = values(batch, *SAME[name])
    assert one == pytest.approx(other, rel=1e-6, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(batch=batches(("binary",)))
def test_asymmetric_focal_without_focus_is_half_of_cross_entropy(batch: Batch) -> None:
    focal, entropy = values(batch, ("asymmetric_focal", {"delta": 0.5, "gamma": 0.0}), ("bce", {}))
    assert focal == pytest.approx(entropy / 2, rel=1e-6, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(batch=batches(("binary",)))
def test_one_region_gives_jaccard_and_log_cosh_from_dice(batch: Batch) -> None:
    mode, logits, target = batch
    single = (mode, logits[:1], target[:1])
    dice, jaccard, log_cosh = values(single, ("dice", {}), ("jaccard", {}), ("log_cosh_dice", {}))
    assert 1 - jaccard == pytest.approx((1 - dice) / (2 - (1 - dice)), abs=1e-4)
    assert log_cosh == pytest.approx(math.log(math.cosh(dice)), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(batch=batches(("binary", "multilabel")), weight=st.floats(0.1, 10))
def test_positive_weight_adds_to_the_cost_of_foreground_alone(batch: Batch, weight: float) -> None:
    _, logits, target = batch
    weighted, plain = values(batch, ("bce", {"pos_weight": weight}), ("bce", {}))
    foreground = (torch.nn.functional.softplus(-logits) * target).mean().item()
    assert weighted == pytest.approx(plain + (weight - 1) * foreground, rel=1e-6, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(batch=batches(), weights=st.lists(st.floats(0, 5), min_size=3, max_size=3).filter(any))
def test_a_combined_loss_is_linear_in_its_weights(batch: Batch, weights: list[float]) -> None:
    mode, logits, target = batch
    names = ("dice", "bce", "focal")
    terms: dict[str, dict[str, Any]] = {name: {} for name in names}
    made = LossManager.create_loss_function(
        {"mode": mode, "terms": terms, "weights": dict(zip(names, weights, strict=True))}
    )
    alone = values(batch, *((name, {}) for name in names))
    expected = sum(weight * value for weight, value in zip(weights, alone, strict=True))
    assert made(logits, target).item() == pytest.approx(expected, rel=1e-6, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(batch=batches(("multiclass",)))
def test_two_classes_are_one_channel_of_their_difference(batch: Batch) -> None:
    _, logits, target = batch
    logits, target = logits[:, :2], target.clamp_max(1)
    single = logits[:, 1:] - logits[:, :1]
    for kind, options in (("bce", {}), ("focal", {"gamma": 1.5})):
        two = build_term(kind, "multiclass", options)(logits, target).item()
        assert two == pytest.approx(build_term(kind, "binary", options)(single, target).item(), rel=1e-6, abs=1e-7)
