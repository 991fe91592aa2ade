"""Augmentation on whole batches: the same for the same seed and epoch, right for masks."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import Compose, RandFlipd, RandGaussianNoised
from torch import Tensor

from components.data import StandardAugmentation, augmented
from components.errors import InvalidInputError

PLAIN = StandardAugmentation(contrast=0, brightness=0, noise=0)


def batch(count: int = 6, spatial: tuple[int, ...] = (8, 8)) -> tuple[Tensor, Tensor]:
    """Images of different values everywhere, and masks that tell where each value is."""
    images = torch.randn(count, 1, *spatial, generator=torch.Generator().manual_seed(1))
    return images, (images[:, 0] > 0.3).long()


def run(augmentation: Any, images: Tensor, masks: Tensor, seed: int = 0, epoch: int = 1) -> tuple[Tensor, Tensor]:
    (found,) = augmented([(images, masks)], augmentation, seed=seed, epoch=epoch)
    return found


@given(seed=st.integers(0, 1000), spatial=st.sampled_from([(6, 6), (4, 6), (3, 4, 4), (2, 3, 4)]))
def test_masks_move_with_their_images(seed: int, spatial: tuple[int, ...]) -> None:
    images, masks = batch(spatial=spatial)
    moved, labels = run(PLAIN, images, masks, seed)
    assert torch.equal(labels, (moved[:, 0] > 0.3).long())
    assert torch.equal(moved.flatten(1).sort().values, images.flatten(1).sort().values)  # each case keeps its pixels


def test_all_eight_positions_of_a_square_occur_and_each_case_has_its_own() -> None:
    images, masks = torch.arange(4.0).reshape(1, 1, 2, 2).repeat(400, 1, 1, 1), torch.zeros(400, 2, 2)
    moved, _ = run(PLAIN, images, masks)
    found = {tuple(case.flatten().tolist()) for case in moved}
    assert len(found) == 8


def test_seed_and_epoch_decide_everything() -> None:
    images, masks = batch()
    first = run(StandardAugmentation(), images, masks, seed=3, epoch=5)
    assert all(torch.equal(*pair) for pair in zip(first, run(StandardAugmentation(), images, masks, 3, 5), strict=True))
    for other in ((3, 6), (4, 5), (4, 4)):
        assert not torch.equal(first[0], run(StandardAugmentation(), images, masks, *other)[0])


def test_intensities_change_within_their_ranges_and_masks_do_not() -> None:
    images, masks = torch.ones(200, 1, 4, 4), torch.ones(200, 4, 4, dtype=torch.int64)
    changed, labels = run(StandardAugmentation(contrast=0.2, brightness=0.1, noise=0), images, masks)
    assert torch.equal(labels, masks)
    assert 0.7 - 1e-6 <= float(changed.min()) < 0.75
    assert 1.25 < float(changed.max()) <= 1.3 + 1e-6
    assert float(changed[0].std()) == pytest.approx(0, abs=1e-6)  # a case changes as a whole
    noisy, _ = run(StandardAugmentation(contrast=0, brightness=0, noise=0.1), images, masks)
    assert 0.03 < float((noisy - 1).std()) < 0.1


def test_a_dictionary_transform_of_monai_is_called_for_each_case_and_seeded() -> None:
    transform = Compose(
        [RandFlipd(["image", "label"], prob=0.5, spatial_axis=1), RandGaussianNoised(["image"], prob=1.0, std=0.01)]
    )
    images, masks = batch(count=16)
    first = run(transform, images, masks, seed=1)
    assert torch.equal(first[0], run(transform, images, masks, seed=1)[0])
    assert not torch.equal(first[0], run(transform, images, masks, seed=2)[0])
    flipped = [torch.equal(label, mask.flip(-1)) for label, mask in zip(first[1], masks, strict=True)]
    assert 0 < sum(flipped) < 16
    assert first[1].dtype == torch.int64


def cropped(images: Tensor, masks: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
    return images[..., :4], masks[..., :4]


def test_a_function_may_change_sizes_of_images_and_masks_together() -> None:
    images, masks = run(cropped, *batch())
    assert images.shape == (6, 1, 8, 4)
    assert masks.shape == (6, 8, 4)


@pytest.mark.parametrize(
    "function",
    [
        lambda images, *_: images,
        lambda images, masks, _: (images[..., :4], masks),
        lambda images, masks, _: (images[:1], masks[:1]),
        lambda images, masks, _: (images, masks.float()),
    ],
    ids=["no masks", "other sizes", "fewer cases", "other dtype"],
)
def test_what_does_not_fit_the_batch_is_refused(function: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"augment: found .*Hint: return images and masks"):
        run(function, *batch())


def test_negative_ranges_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="none may be negative"):
        StandardAugmentation(noise=-1)
