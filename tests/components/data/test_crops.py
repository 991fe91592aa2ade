"""Crops, padding and images of different sizes."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.data import Split, evaluation_batches, training_batches
from components.errors import InvalidInputError


def numbered(*sizes: tuple[int, ...], channel: bool = False) -> Split:
    """Images whose pixels count up from 1000 times the case's number; masks are these numbers modulo 251."""
    images = [
        1000 * index + np.arange(np.prod(size), dtype=np.float32).reshape(1, *size) for index, size in enumerate(sizes)
    ]
    masks = [(image % 251).astype(np.uint8) if channel else (image[0] % 251).astype(np.uint8) for image in images]
    names = tuple(f"case{index}" for index in range(len(sizes)))
    return Split(images, masks, names, names)


def crops(
    split: Split,
    crop: int | Sequence[int] | None,
    *,
    seed: int = 0,
    epoch: int = 1,
    augment: str = "none",
    size: int = 2,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(training_batches(split, size=size, seed=seed, epoch=epoch, augment=augment, crop=crop))


@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 999), st.booleans())
def test_a_crop_lies_inside_its_image_and_cuts_the_mask_alike(
    height: int,
    width: int,
    seed: int,
    channel: bool,  # noqa: FBT001 - hypothesis fills it
) -> None:
    split = numbered((9, 7), (12, 8), (9, 20), channel=channel)
    found = crops(split, (height, width), seed=seed, size=3)
    ((images, masks),) = found
    assert images.shape == (3, 1, height, width)
    assert masks.shape == ((3, 1, height, width) if channel else (3, height, width))
    assert torch.equal((images.squeeze(1) % 251).long(), masks.reshape(3, height, width).long())
    for image in images[:, 0]:
        original = split.images[int(image[0, 0]) // 1000][0]
        top, left = (int(index) for index in np.argwhere(original == image[0, 0].item())[0])
        assert np.array_equal(original[top : top + height, left : left + width], image.numpy())


def test_flips_turn_crop_and_mask_together() -> None:
    for images, masks in crops(numbered((9, 7), (12, 8), (9, 20)), 5, augment="flip"):
        assert torch.equal((images[:, 0] % 251).long(), masks)


def test_crops_depend_on_seed_and_epoch_alone_and_reach_every_corner() -> None:
    split = numbered((6, 6))
    assert torch.equal(crops(split, 4, epoch=3)[0][0], crops(split, 4, epoch=3)[0][0])
    corners = {int(crops(split, 4, epoch=epoch)[0][0][0, 0, 0, 0]) for epoch in range(1, 200)}
    assert corners == {6 * row + column for row in range(3) for column in range(3)}
    assert corners == {int(crops(split, 4, seed=seed)[0][0][0, 0, 0, 0]) for seed in range(200)}


def test_an_image_too_small_for_the_crop_is_continued_by_mirroring() -> None:
    ((images, masks),) = crops(numbered((2, 3), (5, 5)), 5)
    small = next(image[0] for image in images if image[0, 0, 0] < 1000)
    rows = [[0, 1, 2, 2, 1], [3, 4, 5, 5, 4]]
    assert small.tolist() == [rows[0], rows[1], rows[1], rows[0], rows[0]]
    assert torch.equal((images[:, 0] % 251).long(), masks)


def test_an_image_too_small_along_one_axis_is_still_cropped_along_the_other() -> None:
    lefts = set()
    for epoch in range(1, 60):
        ((images, _),) = crops(numbered((2, 6)), (4, 4), epoch=epoch)
        assert images[0, 0, 2].equal(images[0, 0, 1])
        assert images[0, 0, 3].equal(images[0, 0, 0])
        lefts.add(int(images[0, 0, 0, 0]))
    assert lefts == {0, 1, 2}


def test_crops_of_volumes() -> None:
    ((images, masks),) = crops(numbered((4, 8, 10), (6, 8, 9)), (4, 5, 6))
    assert images.shape == (2, 1, 4, 5, 6)
    assert torch.equal((images[:, 0] % 251).long(), masks)
    ((images, _),) = crops(numbered((4, 8, 10)), 3)
    assert images.shape == (1, 1, 3, 3, 3)


@pytest.mark.parametrize("crop", [(4,), (4, 4, 4), (4, 0), 0, -1])
def test_a_crop_that_does_not_fit_the_axes_is_refused(crop: int | Sequence[int]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        crops(numbered((6, 6)), crop)
    assert str(caught.value) == f"training.crop: found {crop}, the images have 2 axes."


def test_whole_images_are_continued_to_a_multiple_of_the_divisor() -> None:
    split = numbered((5, 7))
    ((images, masks),) = training_batches(split, size=1, seed=0, epoch=1, augment="none", divisor=4)
    assert images.shape == (1, 1, 8, 8)
    assert masks.shape == (1, 8, 8)
    expected = np.pad(split.images[0], [(0, 0), (0, 3), (0, 1)], mode="symmetric")
    assert np.array_equal(images[0].numpy(), expected)
    assert torch.equal((images[:, 0] % 251).long(), masks)


def test_evaluation_continues_the_images_and_leaves_the_masks() -> None:
    split = numbered((5, 7), channel=True)
    ((images, masks),) = evaluation_batches(split, size=4, divisor=8)
    assert images.shape == (1, 1, 8, 8)
    assert np.array_equal(images[0, :, :5, :7].numpy(), split.images[0])
    assert np.array_equal(masks[0].numpy(), split.masks[0])
    assert masks.dtype == torch.float32
    ((images, _),) = evaluation_batches(numbered((8, 16)), size=1, divisor=8)
    assert images.shape == (1, 1, 8, 16)


def test_whole_images_of_different_sizes_make_no_batch() -> None:
    split = numbered((6, 8), (9, 5), (6, 8))
    with pytest.raises(InvalidInputError) as caught:
        crops(split, None)
    assert str(caught.value) == (
        "training.crop: none is set, but the images have 2 sizes, such as 6×8 and 9×5; whole ones make no batch. "
        "Hint: set training.crop, the smallest image is 6×5."
    )
    assert sorted(tuple(images.shape[2:]) for images, _ in crops(split, None, size=1)) == [(6, 8), (6, 8), (9, 5)]
    assert [len(images) for images, _ in crops(split, 5)] == [2, 1]


def test_evaluation_batches_hold_neighbours_of_one_size_in_order() -> None:
    sizes = [(4, 4), (4, 4), (4, 4), (3, 5), (4, 4), (4, 4)]
    found = list(evaluation_batches(numbered(*sizes), size=2))
    assert [len(images) for images, _ in found] == [2, 1, 1, 2]
    assert [int(image[0, 0, 0]) // 1000 for images, _ in found for image in images] == [0, 1, 2, 3, 4, 5]
