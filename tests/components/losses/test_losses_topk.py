"""The hardest pixels' cross-entropy."""

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss
from components.losses.topk import TopKLoss

# Foreground everywhere, probabilities 0.9, 0.8, 0.4 and 0.5.
LOGITS = torch.tensor([[[[0.9, 0.8, 0.4, 0.5]]]], dtype=torch.float64).logit()
ONES = torch.ones(1, 1, 1, 4)


@pytest.mark.parametrize(
    ("share", "hardest"), [(0.1, [0.4]), (0.5, [0.4, 0.5]), (0.74, [0.4, 0.5]), (1.0, [0.9, 0.8, 0.4, 0.5])]
)
@pytest.mark.parametrize("ignore_index", [None, 255])
def test_the_mean_is_over_the_hardest(share: float, hardest: list[float], ignore_index: int | None) -> None:
    expected = -sum(math.log(p) for p in hardest) / len(hardest)
    value = TopKLoss(share=share, ignore_index=ignore_index)(LOGITS, ONES)
    assert value.item() == pytest.approx(expected, abs=1e-9)


def test_ignored_pixels_are_not_among_the_hardest_nor_counted() -> None:
    target = torch.tensor([[[[1, 1, 255, 1]]]])  # half of 3 is 1
    value = TopKLoss(share=0.5, ignore_index=255)(LOGITS, target)
    assert value.item() == pytest.approx(-math.log(0.5), abs=1e-9)


@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
def test_all_pixels_are_the_plain_cross_entropy(mode: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1 if mode == "binary" else 3, 4, 5, dtype=torch.float64, generator=generator)
    shape = (2, 4, 5) if mode == "multiclass" else logits.shape
    target = torch.randint(0, 2, shape, generator=generator)
    assert torch.allclose(TopKLoss(mode, share=1.0)(logits, target), EnhancedBCELoss(mode)(logits, target), rtol=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.37])
def test_multiclass_is_torchs_topk_of_weighted_cross_entropy(share: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 6, 5, dtype=torch.float64, generator=generator)
    target, weights = torch.randint(0, 3, (2, 6, 5), generator=generator), torch.tensor([0.2, 1.0, 3.0]).double()
    pixels = cross_entropy(logits, target, weight=weights, reduction="none").flatten()
    expected = pixels.topk(int(60 * share)).values.mean()
    value = TopKLoss("multiclass", share=share, class_weights=[0.2, 1.0, 3.0])(logits, target)
    torch.testing.assert_close(value, expected, rtol=1e-7, atol=0)


def test_multilabel_weights_multiply_their_channel() -> None:
    logits, target = torch.zeros(1, 2, 1, 1), torch.ones(1, 2, 1, 1)
    value = TopKLoss("multilabel", share=0.5, class_weights=[1.0, 3.0])(logits, target)
    assert value.item() == pytest.approx(3 * math.log(2))


def test_soft_labels_are_taken_as_they_are() -> None:
    soft = torch.tensor([[[[0.7, 0.2, 0.1, 0.5]]]], dtype=torch.float64)
    pixels = binary_cross_entropy_with_logits(LOGITS, soft, reduction="none")
    assert TopKLoss(share=0.25)(LOGITS, soft).item() == pytest.approx(pixels.max().item(), rel=1e-12)


def test_only_the_hardest_get_a_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    TopKLoss(share=0.5)(logits, ONES).backward()
    assert logits.grad is not None
    assert (logits.grad.flatten() != 0).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.0}, "share: found 0.0"),
        ({"share": 1.5}, "share: found 1.5"),
        ({"class_weights": [1.0]}, "mode 'binary' has one class"),
        ({"mode": "many"}, "mode: found 'many'"),
    ],
)
def test_constructor_refuses_what_does_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TopKLoss(**options)
