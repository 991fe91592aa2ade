"""Distance transforms by brute force, and the two losses made of them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from components.errors import InvalidInputError
from components.losses.distance import BoundaryLoss, HausdorffLoss
from components.losses.distance_transform import distance_to

Array = NDArray[Any]


def nearest(mask: Array, kept: Array | None = None) -> Array:
    """Distance of every pixel to the mask, by comparing all pairs; 0 without a mask."""
    places = np.argwhere(np.ones_like(mask))
    seeds = np.argwhere(mask if kept is None else mask & kept)
    if not len(seeds):
        return np.zeros(mask.shape)
    apart = np.linalg.norm(places[:, None] - seeds[None], axis=2).min(1)
    return np.asarray(apart.reshape(mask.shape))


def field(mask: Array, kept: Array | None = None) -> Array:
    return np.asarray(nearest(~mask, kept) * mask + nearest(mask, kept) * ~mask)


def signed(mask: Array) -> Array:
    return np.asarray(nearest(mask) * ~mask - np.maximum(nearest(~mask) - 1, 0) * mask)


@settings(max_examples=60, deadline=None)
@given(
    spatial=st.lists(st.integers(1, 6), min_size=2, max_size=3),
    seed=st.integers(0, 2**31),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
)
def test_distances_are_those_of_brute_force(spatial: list[int], seed: int, share: float) -> None:
    mask = torch.rand(2, 2, *spatial, generator=torch.Generator().manual_seed(seed)) < share
    found = distance_to(mask)
    for sample in range(2):
        for channel in range(2):
            expected = nearest(mask[sample, channel].numpy())
            assert np.allclose(found[sample, channel].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("spatial", [(70, 300), (9, 40, 33)])
def test_distances_are_scipys(spatial: tuple[int, ...]) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = torch.rand(1, 1, *spatial, generator=torch.Generator().manual_seed(0)) < 0.002
    expected = ndimage.distance_transform_edt(~mask[0, 0].numpy())
    assert np.allclose(distance_to(mask)[0, 0].numpy(), expected, rtol=1e-6)


def batch(spatial: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 2, *spatial, dtype=torch.float64, generator=generator)
    return logits, torch.rand(logits.shape, generator=generator) < 0.3


@pytest.mark.parametrize("spatial", [(5, 6), (3, 4, 5)])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_hausdorff_is_its_formula(spatial: tuple[int, ...], alpha: float) -> None:
    logits, target = batch(spatial)
    p, g = logits.sigmoid().numpy(), target.numpy()
    values = [
        ((p[i, c] - g[i, c]) ** 2 * (field(g[i, c]) ** alpha + field(p[i, c] > 0.5) ** alpha)).mean()
        for i in range(2)
        for c in range(2)
    ]
    value = HausdorffLoss("multilabel", alpha=alpha)(logits, target).item()
    assert value == pytest.approx(np.mean(values), rel=1e-6)


@pytest.mark.parametrize("spatial", [(5, 6), (3, 4, 5)])
def test_boundary_is_its_formula(spatial: tuple[int, ...]) -> None:
    logits, target = batch(spatial)
    p, g = logits.sigmoid().numpy(), target.numpy()
    values = [(p[i, c] * signed(g[i, c])).mean() for i in range(2) for c in range(2)]
    assert BoundaryLoss("multilabel")(logits, target).item() == pytest.approx(np.mean(values), rel=1e-6)


def test_no_distance_is_measured_to_ignored_pixels() -> None:
    logits, target = batch((5, 6))
    kept = torch.rand(target.shape, generator=torch.Generator().manual_seed(5)) < 0.6
    p, g, k = logits.sigmoid().numpy(), target.numpy(), kept.numpy()
    values = []
    for place in [(i, c) for i in range(2) for c in range(2)]:
        guess = p[place] > 0.5
        weights = field(g[place], k[place]) ** 2 + field(guess, k[place]) ** 2
        values.append(((p[place] - g[place]) ** 2 * weights)[k[place]].mean())
    value = HausdorffLoss("multilabel", ignore_index=255)(logits, target.int().masked_fill(~kept, 255)).item()
    assert value == pytest.approx(np.mean(values), rel=1e-6)


@pytest.mark.parametrize("loss", [HausdorffLoss, BoundaryLoss])
def test_multiclass_leaves_the_background_out_unless_told(loss: Any) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(1, 3, 5, 6, dtype=torch.float64, generator=generator)
    target = torch.randint(0, 3, (1, 5, 6), generator=generator)
    single = [loss("multiclass", include_background=True, class_weights=w)(logits, target) for w in torch.eye(3)]
    torch.testing.assert_close(loss("multiclass")(logits, target), 3 * (single[1] + single[2]) / 2)
    torch.testing.assert_close(loss("multiclass", include_background=True)(logits, target), sum(single))


@pytest.mark.parametrize("label", [0, 1])
def test_a_truth_without_border_has_no_boundary_gradient(label: int) -> None:
    logits = torch.zeros(1, 1, 3, 3, requires_grad=True)
    BoundaryLoss()(logits, torch.full((1, 1, 3, 3), label)).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_far_errors_cost_more_than_near_ones() -> None:
    target = torch.zeros(1, 1, 1, 9)
    target[..., 0] = 1
    near, far = (torch.full((1, 1, 1, 9), -9.0) for _ in range(2))
    near[..., 1], far[..., 8] = 9.0, 9.0
    for loss in (HausdorffLoss(), BoundaryLoss()):
        assert loss(far, target) > loss(near, target)


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="alpha: found -1"):
        HausdorffLoss(alpha=-1)
    with pytest.raises(InvalidInputError, match="mode 'binary' has no background channel"):
        BoundaryLoss(include_background=False)
