"""Crops that are sure to show foreground."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.data import Split, training_batches
from components.data.foreground import foreground_positions
from components.errors import InvalidInputError

SIZE = (40, 30)


def split(*masks: np.ndarray, channels: bool = False) -> Split:
    images = [np.arange(mask[0].size if channels else mask.size, dtype=np.float32) for mask in masks]
    shapes = [mask.shape[1:] if channels else mask.shape for mask in masks]
    names = tuple(f"case{index}" for index in range(len(masks)))
    return Split([image.reshape(1, *shape) for image, shape in zip(images, shapes, strict=True)], masks, names, names)


def with_pixels(*pixels: tuple[int, ...], size: tuple[int, ...] = SIZE, value: int = 1) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    for pixel in pixels:
        mask[pixel] = value
    return mask


def masks_of(data: Split, foreground: float, *, crop: int = 8, epochs: int = 60, seed: int = 0) -> list[torch.Tensor]:
    return [
        mask
        for epoch in range(epochs)
        for _, masks in training_batches(data, size=4, seed=seed, epoch=epoch, crop=crop, foreground=foreground)
        for mask in masks
    ]


def shares(masks: list[torch.Tensor], value: int = 1) -> float:
    return float(np.mean([bool((mask == value).any()) for mask in masks]))


@given(st.integers(0, 39), st.integers(0, 29), st.integers(1, 50), st.integers(0, 999))
def test_every_crop_holds_the_only_pixel_wherever_it_is(row: int, column: int, crop: int, seed: int) -> None:
    masks = masks_of(split(with_pixels((row, column))), 1, crop=crop, epochs=3, seed=seed)
    assert shares(masks) == 1


def test_the_pixel_may_lie_anywhere_in_the_crop() -> None:
    masks = masks_of(split(with_pixels((20, 15))), 1, crop=3, epochs=200)
    assert {tuple(np.argwhere(mask.numpy())[0]) for mask in masks} == {
        (row, column) for row in range(3) for column in range(3)
    }


def test_the_share_of_the_crops_is_as_asked_and_none_changes_nothing() -> None:
    data = split(with_pixels((0, 0)), with_pixels((39, 29)))  # a random crop of 8 shows a corner once in 759
    assert shares(masks_of(data, 0.5, epochs=300)) == pytest.approx(0.5, abs=0.06)
    assert shares(masks_of(data, 0)) == 0
    plain = [images for images, _ in training_batches(data, size=2, seed=1, epoch=1, crop=8)]
    asked = [images for images, _ in training_batches(data, size=2, seed=1, epoch=1, crop=8, foreground=0)]
    assert all(torch.equal(a, b) for a, b in zip(plain, asked, strict=True))


def test_each_class_is_drawn_alike_however_small_it_is() -> None:
    mask = np.ones((60, 60), np.uint8)
    mask[:, 30:] = 0
    mask[30, 59] = 2
    assert shares(masks_of(split(mask), 1, epochs=300), 2) == pytest.approx(0.5, abs=0.07)


def test_ignored_pixels_are_no_foreground() -> None:
    data = split(with_pixels((0, 0), value=255), np.stack([with_pixels((1, 2)), with_pixels((3, 4), value=255)])[0])
    assert foreground_positions(data, 0) == ()
    assert [positions.tolist() for positions in foreground_positions(data, 1)] == [[32]]
    channels = split(np.stack([with_pixels((1, 2)), with_pixels((3, 4), value=255)]), channels=True)
    assert [positions.tolist() for positions in foreground_positions(channels, 0)] == [[32]]
    assert len(masks_of(split(with_pixels()), 1, epochs=2)) == 2


def test_positions_are_found_once_and_those_of_a_large_class_are_sampled() -> None:
    data = split(np.ones((150, 200), np.uint8))
    (positions,) = foreground_positions(data, 0)
    assert foreground_positions(data, 0)[0] is positions
    assert len(set(positions.tolist())) == 10_000
    rows, columns = np.unravel_index(positions, (150, 200))
    assert np.bincount(rows // 50).tolist() == pytest.approx([3333] * 3, rel=0.05)
    assert np.bincount(columns // 50).tolist() == pytest.approx([2500] * 4, rel=0.05)


def test_crops_depend_on_seed_and_epoch_alone() -> None:
    random = np.random.default_rng(0)
    masks = [(random.random(SIZE) < 0.01).astype(np.uint8) for _ in range(5)]
    first, again = (masks_of(split(*masks), 0.5, epochs=4) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    late = split(*masks)  # an epoch does not depend on those before it
    (*_, expected) = training_batches(split(*masks), size=5, seed=0, epoch=3, crop=8, foreground=0.5)
    masks_of(late, 0.5, epochs=3)
    (*_, found) = training_batches(late, size=5, seed=0, epoch=3, crop=8, foreground=0.5)
    assert torch.equal(found[0], expected[0])


def test_volumes_smaller_than_the_crop_show_their_voxel_too() -> None:
    data = split(with_pixels((3, 11, 0), size=(4, 12, 5)))
    for images, masks in training_batches(data, size=1, seed=0, epoch=1, crop=(8, 4, 8), foreground=1):
        assert images.shape == (1, 1, 8, 4, 8)
        assert masks.any()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(InvalidInputError, match=r"^foreground: found .*, must be a share from 0 to 1\.$"):
        masks_of(split(with_pixels((0, 0))), share)
