"""The strong augmentation: masks move with their images, nothing folds, and what may not be mirrored is not."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from components.data import StandardAugmentation, StrongAugmentation, augmented
from components.data.augmentation.deformation import ELASTIC_LIMIT, Deformation, coarse_axis, sampling_grid
from components.data.dataset import IGNORED
from components.errors import InvalidInputError

STRIPE = 8  # pixels of one label


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def places(count: int, spatial: tuple[int, ...]) -> Tensor:
    """Images whose channels are each pixel's coordinates."""
    grids = torch.meshgrid(*(torch.arange(size, dtype=torch.float32) for size in spatial), indexing="ij")
    return torch.stack(grids).repeat(count, *[1] * (len(spatial) + 1))


def run(augmentation: Any, images: Tensor, masks: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    (found,) = augmented([(images, masks)], augmentation, seed=seed, epoch=1)
    return found


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    spatial=st.sampled_from([(32, 32), (24, 40), (16, 24, 24), (5, 24, 24)]),
    axis=st.integers(0, 1),
)
def test_a_mask_moves_with_its_image(seed: int, spatial: tuple[int, ...], axis: int) -> None:
    images = places(4, spatial)
    masks = (images[:, axis] // STRIPE).long()
    moved, labels = Deformation()(images, masks, generator(seed))
    assert moved.shape == images.shape
    assert labels.dtype == masks.dtype
    within = moved[:, axis] % STRIPE
    sure = (within > 0.6) & (within < STRIPE - 1.6)  # further than a pixel's half from the next label
    assert torch.equal(labels[sure], (moved[:, axis][sure] // STRIPE).long())


@given(seed=st.integers(0, 1000), strength=st.sampled_from([0.5, 1.0, 3.0]))
@settings(deadline=None, max_examples=20)
def test_no_label_is_made_up_and_ignored_pixels_stay_so(seed: int, strength: float) -> None:
    masks = torch.randint(0, 3, (4, 24, 24), generator=generator(seed))
    masks[:, :6] = IGNORED
    masks[3] = IGNORED
    _, labels = run(StrongAugmentation(strength), torch.rand(4, 1, 24, 24), masks, seed)
    assert set(labels.flatten().tolist()) <= {0, 1, 2, IGNORED}
    assert bool((labels[3] == IGNORED).all())
    channels = torch.stack([masks == 1, masks == 2], dim=1).float()
    channels[(masks == IGNORED)[:, None].expand_as(channels)] = IGNORED
    _, found = run(StrongAugmentation(strength), torch.rand(4, 1, 24, 24), channels, seed)
    assert torch.equal(
        found, torch.stack([labels == 1, labels == 2], dim=1).float().masked_fill((labels == IGNORED)[:, None], IGNORED)
    )


def test_at_strength_0_only_mirroring_and_turns_are_left() -> None:
    images, masks = torch.randn(16, 2, 12, 12, generator=generator()), torch.randint(0, 2, (16, 12, 12))
    moved, labels = run(StrongAugmentation(0, mirror=[]), images, masks)
    assert torch.equal(moved, images)
    assert torch.equal(labels, masks)
    moved, _ = run(StrongAugmentation(0), images, masks)
    assert not torch.equal(moved, images)
    assert torch.equal(moved.flatten(1).sort().values, images.flatten(1).sort().values)


def test_more_strength_changes_more() -> None:
    images, masks = torch.randn(32, 1, 24, 24, generator=generator()), torch.ones(32, 24, 24, dtype=torch.int64)
    changes = [
        float((run(StrongAugmentation(strength, mirror=[]), images, masks)[0] - images).abs().mean())
        for strength in (0.1, 0.5, 1.0, 2.0)
    ]
    assert changes == sorted(changes)
    assert changes[0] > 0


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0), (5.0, 1.0, 1.0)])
def test_seed_and_epoch_decide_everything_and_what_was_given_stays(spacing: Any) -> None:
    images, masks = torch.randn(4, 1, 12, 16, 16, generator=generator()), torch.randint(0, 2, (4, 12, 16, 16))
    before = images.clone(), masks.clone()
    augmentation = StrongAugmentation(spacing=spacing)
    first = run(augmentation, images, masks, 3)
    again = run(StrongAugmentation(spacing=spacing), images, masks, 3)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first[0], run(augmentation, images, masks, 4)[0])
    assert all(torch.equal(*pair) for pair in zip(before, (images, masks), strict=True))
    assert bool(first[0].isfinite().all())


def test_constant_and_single_pixel_images_stay_finite() -> None:
    for spatial in ((1, 1), (2, 9), (1, 4, 4)):
        images, masks = torch.zeros(16, 1, *spatial), torch.ones(16, *spatial, dtype=torch.int64)
        moved, labels = run(StrongAugmentation(3.0), images, masks)
        assert bool(moved.isfinite().all())
        assert torch.equal(labels, masks)


def test_a_crop_never_loses_all_of_its_foreground() -> None:
    images, masks = places(64, (24, 24)), torch.zeros(64, 24, 24, dtype=torch.int64)
    masks[:, 1, 1] = 1
    masks[:, 0, 5] = IGNORED  # no foreground
    moved, labels = Deformation()(images, masks, generator())
    assert bool((labels == 1).flatten(1).any(1).all())
    changed = (moved != images).flatten(1).any(1)
    assert 0 < int(changed.sum()) < 0.6 * len(images)  # 0.61 are drawn, and some of these would have lost it
    assert torch.equal(labels[~changed], masks[~changed])
    free, _ = Deformation()(images, torch.zeros_like(masks), generator())
    assert int((free != images).flatten(1).any(1).sum()) > int(changed.sum())


@pytest.mark.parametrize("kind", [StandardAugmentation(0, 0, 0, mirror=[1]), StrongAugmentation(0, mirror=[1])])
def test_only_the_axes_that_are_named_are_mirrored(kind: Any) -> None:
    images = places(64, (6, 6))
    moved, _ = run(kind, images, torch.zeros(64, 6, 6))
    assert torch.equal(moved[:, 0], images[:, 0])  # rows stay where they are: no turns either
    mirrored = moved[:, 1, 0, 0] == 5
    assert 0 < int(mirrored.sum()) < 64
    assert torch.equal(moved[mirrored], images[mirrored].flip(-1))


def test_an_axis_that_images_do_not_have_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"training.mirror: found \[2\]; the images have the axes 0 and 1"):
        run(StrongAugmentation(mirror=[2]), torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4))


def test_the_resampling_is_that_of_scipy() -> None:
    image = np.random.default_rng(0).random((20, 31)).astype(np.float32)
    matrix = np.array([[0.9, -0.35], [0.3, 1.2]])
    grid = sampling_grid(torch.tensor(matrix, dtype=torch.float32)[None], None, image.shape)
    found = torch.nn.functional.grid_sample(
        torch.from_numpy(image)[None, None], grid, padding_mode="reflection", align_corners=False
    )[0, 0]
    sizes = np.array(image.shape) / 2
    in_pixels = sizes[:, None] * matrix / sizes
    offset = sizes - 0.5 - in_pixels @ (sizes - 0.5)
    expected = ndimage.affine_transform(image, in_pixels, offset, order=1, mode="reflect")
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), spatial=st.sampled_from([(40, 40), (30, 50), (20, 24, 24)]))
def test_the_largest_elastic_deformation_does_not_fold(seed: int, spatial: tuple[int, ...]) -> None:
    axes = len(spatial)
    control = (torch.randint(0, 2, (1, axes, *[7] * axes), generator=generator(seed)) * 2 - 1) * ELASTIC_LIMIT / 2.0
    grid = sampling_grid(torch.eye(axes)[None], control, spatial)[0].flip(-1)
    slopes = torch.stack(
        [torch.stack(torch.gradient(grid[..., row]), dim=-1) * torch.tensor(spatial) / 2 for row in range(axes)], dim=-2
    )
    assert float(torch.linalg.det(slopes).min()) > 0


def test_splines_that_are_moved_alike_move_the_whole_image() -> None:
    control = torch.full((1, 2, 7, 7), 0.25)
    still, moved = (sampling_grid(torch.eye(2)[None], each, (8, 9)) for each in (None, control))
    torch.testing.assert_close(moved, still + 0.25)


def test_a_circle_in_millimetres_stays_a_circle() -> None:
    rows, columns = np.mgrid[:48, :96]
    circle = torch.tensor(((rows - 23.5) * 2) ** 2 + (columns - 47.5) ** 2 < 30**2).long()
    masks = circle.repeat(8, 1, 1)
    images = masks[:, None].float()
    _, turned = Deformation(60, 1, 0, spacing=(2.0, 1.0))(images, masks, generator())
    assert float((turned != masks).float().mean()) < 0.01
    _, naive = Deformation(60, 1, 0)(images, masks, generator())
    assert float((naive != masks).float().mean()) > 0.03


def test_thick_slices_are_not_mixed() -> None:
    images = places(16, (6, 24, 24))
    masks = images[:, 0].long()
    moved, labels = Deformation(spacing=(4.0, 1.0, 1.0))(images, masks, generator())
    torch.testing.assert_close(moved[:, 0], images[:, 0])
    assert torch.equal(labels, masks)
    assert not torch.equal(moved[:, 1:], images[:, 1:])
    assert [coarse_axis((64, 64, 20), None), coarse_axis((64, 64, 32), None), coarse_axis((9, 99), None)] == [
        2,
        None,
        None,
    ]
    assert [coarse_axis((9, 9, 9), (1, 1, 3.5)), coarse_axis((64, 64, 9), (1, 1, 1))] == [2, None]


@pytest.mark.parametrize("wrong", [{"rotation": -1}, {"scale": 0.5}, {"elastic": 0.5}])
def test_what_would_fold_or_is_no_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="deformation: found"):
        Deformation(**wrong)
    with pytest.raises(InvalidInputError, match="may not be negative"):
        StrongAugmentation(-1)
