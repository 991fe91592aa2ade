"""Skeletons of drawings a reader can check, and the two losses made of them."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.errors import InvalidInputError
from components.losses.skeleton import ClDiceLoss, SkeletonRecallLoss
from components.losses.soft_skeleton import dilated, soft_skeleton

Array = NDArray[np.float64]


def drawn(*rows: str) -> Tensor:
    """Draw `#` as 1: `(1, 1, H, W)` double."""
    return torch.tensor([[float(mark == "#") for mark in row] for row in rows], dtype=torch.float64)[None, None]


BAR = drawn(".......", ".#####.", ".#####.", ".#####.", ".......")
MIDDLE = drawn(".......", ".......", "..###..", ".......", ".......")
LINE = drawn("......", ".####.", "......")


def test_the_skeleton_of_a_bar_is_its_middle() -> None:
    assert torch.equal(soft_skeleton(BAR, 3), MIDDLE)


def test_a_line_is_its_own_skeleton_in_2d_and_3d() -> None:
    assert torch.equal(soft_skeleton(LINE, 3), LINE)
    volume = torch.zeros(1, 1, 3, 3, 6)
    volume[:, :, 1] = LINE.float()
    assert torch.equal(soft_skeleton(volume, 3), volume)


def test_ignored_pixels_do_not_erode_others() -> None:
    valid = torch.ones_like(BAR, dtype=torch.bool)
    valid[..., 3:] = False
    torch.testing.assert_close(soft_skeleton(BAR, 3, valid)[..., :3], soft_skeleton(BAR[..., :3], 3))
    assert (soft_skeleton(BAR, 3, valid)[..., 3:] == 0).all()


def test_dilation_reaches_the_neighbours_along_the_axes() -> None:
    assert torch.equal(dilated(drawn(".....", "..#..", ".....")), drawn("..#..", ".###.", "..#.."))


def pooled(values: Array, reduce: Any, *, cross: bool) -> Array:
    """Reduce each pixel's neighbourhood, the image's outside left out."""
    out = np.empty_like(values)
    for place in np.ndindex(values.shape):
        near = [
            values[other]
            for other in np.ndindex(values.shape)
            if max(abs(np.subtract(place, other))) <= 1 and (not cross or sum(abs(np.subtract(place, other))) <= 1)
        ]
        out[place] = reduce(near)
    return out


def skeleton(values: Array, iterations: int) -> Array:
    """Shit et al. 2021, algorithm 1, pixel by pixel."""

    def removed(image: Array) -> Array:
        return np.maximum(image - pooled(pooled(image, min, cross=True), max, cross=False), 0)

    result = removed(values)
    for _ in range(iterations):
        values = pooled(values, min, cross=True)
        result = result + np.maximum(removed(values) - result * removed(values), 0)
    return result


@pytest.mark.parametrize("spatial", [(5, 6), (3, 4, 4)])
def test_the_soft_skeleton_is_algorithm_1(spatial: tuple[int, ...]) -> None:
    values = torch.rand(1, 1, *spatial, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert np.allclose(soft_skeleton(values, 2)[0, 0].numpy(), skeleton(values[0, 0].numpy(), 2), atol=1e-12)


@pytest.mark.parametrize("batch", [False, True])
def test_cldice_is_its_formula_per_sample_and_class(batch: bool) -> None:  # noqa: FBT001
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 2, 5, 6, dtype=torch.float64, generator=generator)
    target = torch.rand(logits.shape, generator=generator) < 0.5
    p, g = logits.sigmoid().numpy(), target.double().numpy()
    sp, sg = (np.stack([[skeleton(image, 2) for image in sample] for sample in values]) for values in (p, g))
    axes = (0, 2, 3) if batch else (2, 3)
    precision = ((sp * g).sum(axes) + 0.5) / (sp.sum(axes) + 0.5)
    sensitivity = ((sg * p).sum(axes) + 0.5) / (sg.sum(axes) + 0.5)
    expected = (1 - 2 * precision * sensitivity / (precision + sensitivity)).mean()
    value = ClDiceLoss("multilabel", iterations=2, smooth=0.5, batch=batch)(logits, target).item()
    assert value == pytest.approx(expected, rel=1e-9)


def test_cldice_counts_the_one_channel_of_a_binary_mask() -> None:
    """MONAI's form before 1.6 dropped channel 0 and was 0 for every binary prediction."""
    assert ClDiceLoss()(40 - 80 * LINE, LINE).item() > 0.4
    assert ClDiceLoss()(80 * LINE - 40, LINE).item() == pytest.approx(0, abs=1e-9)


def test_a_break_in_a_line_costs_more_clearly_than_a_rim() -> None:
    tube = drawn(*["." * 12] * 2, *[".##########."] * 3, *["." * 12] * 2)
    broken, thinner = tube.clone(), tube.clone()
    broken[..., 5:8] = 0
    thinner[..., 2, 1:10] = 0
    assert broken.sum() == thinner.sum()
    broken_cost, thinner_cost = (ClDiceLoss()(80 * guess - 40, tube).item() for guess in (broken, thinner))
    assert broken_cost > thinner_cost


def test_skeleton_recall_counts_the_tube_inside_the_class_only() -> None:
    probs = torch.linspace(0.1, 0.9, BAR.numel(), dtype=torch.float64).reshape(BAR.shape)
    tube = dilated(MIDDLE) * BAR
    expected = 1 - ((tube * probs).sum() + 1) / (tube.sum() + 1)
    torch.testing.assert_close(SkeletonRecallLoss(tube=1)(probs.logit(), BAR), expected)


def test_skeleton_recall_takes_the_skeleton_of_all_foreground_in_multiclass() -> None:
    target = torch.zeros(1, 5, 7, dtype=torch.long)
    target[:, 1:4, 1:4], target[:, 1:4, 4:6] = 1, 2
    logits = torch.randn(1, 3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    recalls = []
    for label in (1, 2):
        tube = MIDDLE[0, 0] * (target[0] == label)
        recalls.append((((tube * logits.softmax(1)[0, label]).sum() + 1) / (tube.sum() + 1)).item())
    value = SkeletonRecallLoss("multiclass", tube=0)(logits, target).item()
    assert value == pytest.approx(1 - sum(recalls) / 2, rel=1e-9)


def test_an_empty_truth_costs_nothing_in_recall() -> None:
    assert SkeletonRecallLoss()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)).item() == 0


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (ClDiceLoss, {"iterations": -1}, "iterations: found -1"),
        (ClDiceLoss, {"iterations": 2.0}, r"iterations: found 2\.0; expected a whole number"),
        (ClDiceLoss, {"smooth": 0.0}, "smooth: found 0.0"),
        (SkeletonRecallLoss, {"tube": True}, "tube: found True"),
    ],
)
def test_constructors_refuse_what_does_not_fit(loss: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        loss(**options)
