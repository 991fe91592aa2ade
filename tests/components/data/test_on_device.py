"""Batches cut from cases that a device holds are those that the host cuts; a CPU holds nothing twice."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.data import DeviceCases, Split, hold_on_device, training_batches


def cases(*sizes: tuple[int, ...], channels: bool) -> Split:
    random = np.random.default_rng(0)
    images = [random.standard_normal((2, *size)).astype(np.float32) for size in sizes]
    masks = [random.integers(0, 2, ((3, *size) if channels else size)).astype(np.uint8) for size in sizes]
    names = tuple(f"case{index}" for index in range(len(sizes)))
    return Split(images, masks, names, names)


@given(
    st.sampled_from([(5, (9, 7), (4, 6), (12, 12)), ((8, 4), (5, 5), (9, 9), (7, 12)), (4, (6, 6, 6), (3, 7, 5))]),
    st.booleans(),
    st.sampled_from(["flip", "none"]),
    st.sampled_from([0.0, 0.5]),
    st.integers(1, 99),
)
def test_a_device_cuts_the_batches_that_the_host_cuts(
    shapes: tuple[Any, ...],
    channels: bool,  # noqa: FBT001 - drawn
    augment: str,
    foreground: float,
    epoch: int,
) -> None:
    crop, *sizes = shapes
    split = cases(*sizes, channels=channels)
    options: dict[str, Any] = {"size": 2, "seed": 3, "epoch": epoch, "augment": augment, "foreground": foreground}
    check(split, crop, 1, options)


def test_whole_cases_are_continued_alike() -> None:
    split = cases((6, 5), (6, 5), (6, 5), channels=False)
    check(split, None, 4, {"size": 2, "seed": 0, "epoch": 1})


def check(split: Split, crop: int | Sequence[int] | None, divisor: int, options: dict[str, Any]) -> None:
    held = DeviceCases(split, "cpu", crop=crop, divisor=divisor)
    host = training_batches(split, crop=crop, divisor=divisor, **options)
    device = training_batches(split, crop=crop, divisor=divisor, held=held, **options)
    for (images, masks), (images_there, masks_there) in zip(host, device, strict=True):
        assert masks.dtype == masks_there.dtype
        torch.testing.assert_close(images_there, images, rtol=0, atol=0)
        torch.testing.assert_close(masks_there, masks, rtol=0, atol=0)


def test_a_cpu_holds_nothing_twice() -> None:
    assert hold_on_device(cases((4, 4), channels=False), "cpu") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_holds_what_fits() -> None:
    split = cases((4, 4), (4, 4), channels=False)
    held = hold_on_device(split, "cuda")
    assert held is not None
    images, masks = next(iter(training_batches(split, size=2, seed=0, epoch=1, held=held)))
    assert (images.device.type, masks.device.type) == ("cuda", "cuda")
