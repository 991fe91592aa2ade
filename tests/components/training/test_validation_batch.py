"""How many whole images validation sends at a time, which changes no mask."""

from typing import Any

import numpy as np
import pytest

from components.data import Split
from components.metrics.masks import PackedMasks
from components.training import evaluate, seed_everything, small_unet
from components.training.windows import validation_batch


@pytest.mark.parametrize(
    ("sizes", "batch", "crop", "expected"),
    [
        ([(64, 64)], 2, 64, 8),  # four times a step's pixels
        ([(64, 64)], 2, None, 8),
        ([(64, 64)], 32, 64, 32),
        ([(64, 64)], 8, None, 32),  # 2 ** 17 pixels
        ([(64, 64), (256, 256)], 8, 128, 8),  # the largest decides; it is large, but a step is no smaller
        ([(512, 512)], 8, 128, 2),
        ([(512, 512)], 8, None, 8),
        ([(2048, 2048)], 8, 128, 1),
        ([(32, 32, 32)], 2, 32, 4),
        ([(64, 64, 64)], 2, [32, 32, 64], 2),
    ],
)
def test_small_images_go_in_larger_batches_than_in_training_and_large_ones_in_smaller(
    sizes: list[tuple[int, ...]], batch: int, crop: Any, expected: int
) -> None:
    assert validation_batch(sizes, batch=batch, crop=crop) == expected


@pytest.mark.parametrize("size", [(24, 32), (8, 16, 16)])
def test_larger_batches_give_the_same_masks_and_scores(size: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    images = [random.standard_normal((1, *size)).astype(np.float32) for _ in range(11)]
    names = tuple(map(str, range(11)))
    split = Split(images, [(image > 1).astype(np.uint8) for image in images], names, names)
    seed_everything(0)
    model = small_unet(1, 1, spatial_dims=len(size), channels=(4, 8, 8))
    few, many = PackedMasks("binary"), PackedMasks("binary")
    alone = evaluate(model, split, mode="binary", batch=1, masks=few)
    together = evaluate(model, split, mode="binary", batch=validation_batch({size}, batch=2), masks=many)
    shapes = [mask.shape for mask in split.masks]
    assert all(np.array_equal(a, b) for a, b in zip(few.unpack(shapes), many.unpack(shapes), strict=True))
    assert alone.counts.tolist() == together.counts.tolist()
    assert 0 < alone.mean < 1
