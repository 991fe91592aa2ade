"""Thresholds: what the histogram counts is what deciding anew at each threshold counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InvalidInputError
from components.metrics import DiceCounts, ThresholdCounts, sweep_threshold
from components.metrics.dice import Mode
from components.metrics.threshold import THRESHOLDS


def counted(mode: str, logits: torch.Tensor, target: torch.Tensor, **options: object) -> ThresholdCounts:
    counts = ThresholdCounts(mode, **options)  # type: ignore[arg-type]
    for image, mask in zip(logits, target, strict=True):  # the batch does not matter
        counts.add(image[None], mask[None])
    return counts


@given(
    seed=st.integers(0, 2**31),
    channels=st.integers(1, 3),
    spatial=st.sampled_from([(7, 5), (3, 4, 5)]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    ignore=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_each_threshold_counts_as_a_decision_of_its_own(
    seed: int, channels: int, spatial: tuple[int, ...], dtype: torch.dtype, *, ignore: bool
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(3, channels, *spatial, generator=random)).to(dtype)
    logits[0, 0, 0] = 0  # exactly on the bound of ½
    target = (torch.rand(3, channels, *spatial, generator=random) < 0.4).float()
    if ignore:
        target[..., :2] = 255
    mode: Mode = "binary" if channels == 1 else "multilabel"
    found = counted(mode, logits, target, ignore_index=255 if ignore else None).counts()
    for position in (0, 9, 49, 73, 98):
        bound = float(np.float32(np.log(THRESHOLDS[position] / (1 - THRESHOLDS[position]))))
        plain = DiceCounts(mode, ignore_index=255 if ignore else None)
        plain.add(logits.float() - bound if bound else logits, target)
        np.testing.assert_array_equal(found[:, :, position], plain._counts[0])


def test_dice_at_one_half_is_the_objective_to_the_bit() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 2, 8, 8, generator=random)
    target = (torch.rand(5, 2, 8, 8, generator=random) < 0.3).float()
    plain = DiceCounts("multilabel")
    plain.add(logits, target)
    sweep = sweep_threshold(counted("multilabel", logits, target))
    assert sweep.dice_at_half == plain.scores().mean
    assert sweep.dice_at_tuned >= sweep.dice_at_half


def test_each_class_has_a_threshold_of_its_own() -> None:
    """The first class is predicted too boldly, the second too shyly: probabilities of 0.6 and 0.3 at the borders."""
    border, inside, outside = (float(np.log(p / (1 - p))) for p in (0.6, 0.9, 0.1))
    shy = float(np.log(0.3 / 0.7))
    logits = torch.tensor([[[[inside, inside, border, outside]], [[inside, shy, shy, outside]]]])
    target = torch.tensor([[[[1.0, 1, 0, 0]], [[1.0, 1, 1, 0]]]])
    sweep = sweep_threshold(counted("multilabel", logits, target))
    assert sweep.tuned[0] == pytest.approx(0.6, abs=0.011)
    assert sweep.tuned[1] == pytest.approx(0.29, abs=0.011)
    assert (sweep.dice_at_tuned, sweep.dice_at_half) == pytest.approx((1.0, (0.8 + 0.5) / 2))


def test_of_equal_thresholds_the_nearest_to_one_half_is_chosen() -> None:
    sweep = sweep_threshold(counted("binary", torch.tensor([[[[9.0, -9.0]]]]), torch.tensor([[[[1.0, 0.0]]]])))
    assert (sweep.tuned, sweep.dice_at_half, sweep.dice_at_tuned) == ((0.5,), 1.0, 1.0)


def test_a_class_that_is_not_scored_keeps_one_half() -> None:
    logits = torch.tensor([[[[1.0, 9.0]], [[1.0, 9.0]]]])
    target = torch.tensor([[[[0.0, 1.0]], [[0.0, 1.0]]]])
    sweep = sweep_threshold(counted("multilabel", logits, target), scored=[True, False])
    assert sweep.tuned[0] > 0.7
    assert sweep.tuned[1] == 0.5
    assert np.isnan(sweep.dice[1]).all()
    assert (sweep.dice_at_tuned, sweep.dice_at_half) == pytest.approx((1.0, 2 / 3))


@pytest.mark.parametrize("thresholds", [[], [0.2, 0.8], [0.5, 0.2], [0.0, 0.5], [0.5, 1.0], [0.5, 0.5]])
def test_thresholds_that_do_not_rise_around_one_half_are_refused(thresholds: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="thresholds: found"):
        ThresholdCounts("binary", thresholds)


def test_what_has_no_threshold_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="found 'multiclass', which has no threshold"):
        ThresholdCounts("multiclass")
    with pytest.raises(InvalidInputError, match="of no case at all"):
        sweep_threshold(ThresholdCounts("binary"))
    with pytest.raises(InvalidInputError, match=r"found shape \(1, 2\), expected \(1, 1, 2\)"):
        ThresholdCounts("binary").add(torch.zeros(1, 1, 2), torch.zeros(1, 2))
    empty = counted("binary", torch.full((1, 1, 2, 2), -9.0), torch.zeros(1, 1, 2, 2))
    with pytest.raises(InvalidInputError, match="Dice is undefined at ½"):
        sweep_threshold(empty)
    with pytest.raises(InvalidInputError, match="expected 1 flags"):
        sweep_threshold(empty, scored=[False])
