"""Each channel of each image is brought to a common scale."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.folder import NORMALIZATIONS, normalize_image
from components.errors import InvalidInputError


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
def test_zscore_and_minmax_scale_each_channel(seed: int, dtype: Any) -> None:
    image = np.random.default_rng(seed).integers(0, 200, (3, 9, 11)).astype(dtype)
    image[1] = 7
    scores = normalize_image(image, "zscore")
    assert scores.dtype == np.float32
    assert scores.mean(axis=(1, 2)) == pytest.approx([0, 0, 0], abs=1e-6)
    assert scores.std(axis=(1, 2)) == pytest.approx([1, 0, 1], abs=1e-5)
    for how in ("minmax", "percentile"):
        scaled = normalize_image(image, how)
        assert scaled.min(axis=(1, 2)).tolist() == [0, 0, 0]
        assert scaled.max(axis=(1, 2)).tolist() == [1, 0, 1]


@pytest.mark.parametrize("how", ["zscore", "minmax", "percentile"])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 123.456, 7e5 + 0.1])
def test_a_constant_channel_becomes_0_in_spite_of_rounding(how: str, value: float) -> None:
    for size in (7, 31, 64, 100):
        assert not normalize_image(np.full((1, size, size), value), how).any()


def test_scores_over_what_is_not_0_leave_0_alone() -> None:
    volume = np.zeros((2, 4, 5, 6), np.int16)
    volume[0, 1:3] = np.random.default_rng(0).integers(50, 90, (2, 5, 6))
    volume[1, 0, 0, :3] = 7
    scored = normalize_image(volume, "zscore_nonzero")
    assert scored.dtype == np.float32
    inside = scored[0, 1:3].astype(np.float64)
    assert (inside.mean(), inside.std()) == pytest.approx((0, 1), abs=1e-6)
    assert not scored[0, [0, 3]].any()
    assert not scored[1].any()


def test_percentiles_clip_what_lies_beyond() -> None:
    image = np.concatenate([np.arange(200.0), [1e6]])[None, :, None]
    scaled = normalize_image(image, "percentile")[0, :, 0]
    assert (scaled[0], scaled[-1]) == (0, 1)
    assert scaled[100] == pytest.approx((100 - 2) / (198 - 2), abs=0.01)


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535), (np.int16, 32767), (np.float32, 1), (bool, 1)]
)
def test_none_divides_integers_by_their_types_largest_value(dtype: Any, largest: int) -> None:
    image = np.array([[[0, 1]]], dtype)
    assert np.array_equal(normalize_image(image, "none"), np.array([[[0, 1]]], np.float32) / np.float32(largest))


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=f"^normalize: found 'z'; use one of {', '.join(NORMALIZATIONS)}[.]$"):
        normalize_image(np.zeros((1, 2, 2)), "z")
