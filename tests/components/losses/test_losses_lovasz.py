"""The Lovász extension against its definition over sets of wrong pixels."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from components.errors import InvalidInputError
from components.losses.lovasz import LovaszLoss

Array = NDArray[Any]


def jaccard_loss(truth: Array, wrong: Array) -> float:
    """One minus intersection over union when exactly these pixels are wrong."""
    guess = truth ^ wrong
    union = (truth | guess).sum()
    return 0.0 if union == 0 else 1 - float((truth & guess).sum() / union)


def extension(errors: Array, truth: Array) -> float:
    total, wrong = 0.0, np.zeros_like(truth)
    for pixel in np.argsort(-errors):
        before, wrong[pixel] = jaccard_loss(truth, wrong), True
        total += max(errors[pixel], 0) * (jaccard_loss(truth, wrong) - before)
    return total


def hinge(logits: Array, truth: Array) -> float:
    return extension(1 - logits * (2.0 * truth - 1), truth)


def batch(seed: int, spatial: tuple[int, ...] = (3, 4)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, *spatial, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, 3, (2, *spatial), generator=generator)


@pytest.mark.parametrize("per_image", [True, False])
def test_hinge_is_the_definition(per_image: bool) -> None:  # noqa: FBT001
    logits, target = batch(0)
    target = torch.stack([target == label for label in range(3)], 1)
    x, g = logits.numpy(), target.numpy()
    rows = [(x[i, c].ravel(), g[i, c].ravel()) for i in range(2) for c in range(3)]
    if not per_image:
        rows = [(x[:, c].ravel(), g[:, c].ravel()) for c in range(3)]
    value = LovaszLoss("multilabel", per_image=per_image)(logits, target).item()
    assert value == pytest.approx(np.mean([hinge(*row) for row in rows]), rel=1e-9)


@pytest.mark.parametrize("classes", ["present", "all"])
@pytest.mark.parametrize("per_image", [True, False])
def test_softmax_is_the_definition_over_the_chosen_classes(per_image: bool, classes: Any) -> None:  # noqa: FBT001
    logits, target = batch(1)
    target[0].clamp_(max=1)  # class 2 is absent from the first image
    p = logits.softmax(1).numpy()
    groups = [np.array([0]), np.array([1])] if per_image else [np.array([0, 1])]
    values = []
    for group in groups:
        for label in range(3):
            truth = (target.numpy()[group] == label).ravel()
            if truth.any() or classes == "all":
                values.append(extension(np.abs(truth - p[group, label].ravel()), truth))
    value = LovaszLoss("multiclass", per_image=per_image, classes=classes)(logits, target).item()
    assert value == pytest.approx(np.mean(values), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), width=st.integers(1, 6))
def test_of_hard_guesses_the_softmax_form_is_the_jaccard_loss(seed: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    guess, target = (torch.randint(0, 2, (1, 2, width), generator=generator) for _ in range(2))
    logits = 200.0 * torch.stack([guess == label for label in range(2)], 1).double()
    expected = np.mean(
        [
            jaccard_loss((target == label).numpy(), (guess != target).numpy())
            for label in range(2)
            if (target == label).any()
        ]
    )
    assert LovaszLoss("multiclass")(logits, target).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("per_image", [True, False])
def test_ignored_pixels_are_cut_out(per_image: bool) -> None:  # noqa: FBT001
    logits, target = batch(2)
    expected = LovaszLoss("multiclass", per_image=per_image)(logits[..., :2], target[..., :2])
    target[..., 2:] = 255
    value = LovaszLoss("multiclass", per_image=per_image, ignore_index=255)(logits, target)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_background_is_left_out_and_classes_are_weighted() -> None:
    logits, target = batch(3)
    parts = [LovaszLoss("multiclass", class_weights=weights)(logits, target) for weights in ([0, 1, 0], [0, 0, 1])]
    expected = 3 * (0.5 * parts[0] + 2 * parts[1]) / 2
    value = LovaszLoss("multiclass", include_background=False, class_weights=[0.5, 2.0])(logits, target)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=0)


def test_an_empty_mask_costs_its_largest_error_unless_only_present_classes_count() -> None:
    logits, target = torch.tensor([[[[0.5, -3.0]]]]), torch.zeros(1, 1, 1, 2)
    assert LovaszLoss()(logits, target).item() == 1.5
    assert LovaszLoss(classes="present")(logits, target).item() == 0


def test_growth_stays_exact_for_large_volumes_in_fp32() -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(1, 1, 1000, 1000, dtype=torch.float64, generator=generator)
    target = torch.rand(logits.shape, generator=generator) < 0.3
    exact = LovaszLoss()(logits, target).item()
    assert LovaszLoss()(logits.float(), target).item() == pytest.approx(exact, rel=1e-6)


def test_unknown_classes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="classes: found 'absent'"):
        LovaszLoss(classes="absent")  # type: ignore[arg-type]
