"""Unified focal and its two parts against the formulas written out."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from components.errors import InvalidInputError
from components.losses.kinds import build_term
from components.losses.unified_focal import UnifiedFocalLoss

Array = NDArray[np.float64]


def focal(p: Array, g: Array, delta: float, gamma: float) -> float:
    """Of probabilities and truths `(K, pixels)`, class 0 first."""
    background = -(1 - delta) * (1 - p[0]) ** gamma * g[0] * np.log(p[0])
    return float((background - delta * (g[1:] * np.log(p[1:])).sum(0)).mean())


def focal_tversky(p: Array, g: Array, delta: float, gamma: float) -> float:
    tp, fn, fp = (p * g).sum(1), (g * (1 - p)).sum(1), (p * (1 - g)).sum(1)
    misses = 1 - tp / (tp + delta * fn + (1 - delta) * fp)
    return float(np.mean([misses[0], *misses[1:] ** (1 - gamma)]))


def batch(mode: str) -> tuple[torch.Tensor, torch.Tensor, list[tuple[Array, Array]]]:
    """Logits, target, and probabilities and truths `(K, 12)` of each group of exclusive classes."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 3, 4, dtype=torch.float64, generator=generator)
    if mode == "multiclass":
        target = torch.randint(0, 3, (2, 3, 4), generator=generator)
        probs = logits.softmax(1).flatten(2).numpy()
        truth = np.stack([target.flatten(1).numpy() == label for label in range(3)], 1).astype(float)
        return logits, target, [(probs[i], truth[i]) for i in range(2)]
    target = torch.randint(0, 2, logits.shape, generator=generator)
    p, g = logits.sigmoid().flatten(2).numpy(), target.flatten(2).double().numpy()
    rows = [(p[i, c], g[i, c]) for i in range(2) for c in range(3)]
    return logits, target, [(np.stack([1 - a, a]), np.stack([1 - b, b])) for a, b in rows]


@pytest.mark.parametrize("mode", ["multilabel", "multiclass"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_value_is_weight_times_tversky_plus_the_rest_focal(mode: Any, weight: float) -> None:
    logits, target, groups = batch(mode)
    parts = [np.mean([formula(p, g, 0.6, 0.4) for p, g in groups]) for formula in (focal_tversky, focal)]
    value = UnifiedFocalLoss(mode, weight=weight, delta=0.6, gamma=0.4, smooth=1e-12)(logits, target).item()
    assert value == pytest.approx(weight * parts[0] + (1 - weight) * parts[1], rel=1e-9)


def test_kinds_are_its_two_ends() -> None:
    logits, target, groups = batch("multilabel")
    value = build_term("asymmetric_focal", "multilabel", {})(logits, target).item()
    assert value == pytest.approx(np.mean([focal(p, g, 0.7, 2.0) for p, g in groups]), rel=1e-9)
    value = build_term("asymmetric_focal_tversky", "multilabel", {"smooth": 1e-12})(logits, target).item()
    assert value == pytest.approx(np.mean([focal_tversky(p, g, 0.7, 0.75) for p, g in groups]), rel=1e-9)


@pytest.mark.parametrize("mode", ["multilabel", "multiclass"])
def test_ignored_pixels_are_cut_out(mode: Any) -> None:
    logits, target, groups = batch(mode)
    kept = np.arange(12) % 3 > 0
    target = target.masked_fill(torch.from_numpy(~kept).view(3, 4), 255)
    cut = [(p[:, kept], g[:, kept]) for p, g in groups]
    expected = np.mean([0.5 * focal_tversky(p, g, 0.6, 0.5) + 0.5 * focal(p, g, 0.6, 0.5) for p, g in cut])
    value = UnifiedFocalLoss(mode, smooth=1e-12, ignore_index=255)(logits, target).item()
    assert value == pytest.approx(expected, rel=1e-9)


def test_sure_background_is_suppressed_and_foreground_is_not() -> None:
    logits = torch.tensor([[[[2.0]]]])
    right_background = UnifiedFocalLoss(weight=0.0, delta=0.5, gamma=2.0)(-logits, torch.zeros(1, 1, 1, 1)).item()
    right_foreground = UnifiedFocalLoss(weight=0.0, delta=0.5, gamma=2.0)(logits, torch.ones(1, 1, 1, 1)).item()
    assert right_background == pytest.approx(right_foreground * (1 - torch.sigmoid(logits).item()) ** 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": 1.5}, "weight: found 1.5"),
        ({"delta": -0.1}, "delta: found -0.1"),
        ({"gamma": 2.0}, "gamma: found 2.0; expected below 1"),
        ({"smooth": 0.0}, "smooth: found 0.0"),
    ],
)
def test_constructor_refuses_what_does_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        UnifiedFocalLoss(**options)
