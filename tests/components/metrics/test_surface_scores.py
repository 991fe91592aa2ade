"""Surface metrics: values that can be counted, spacing, and cases of which nothing is found."""

import numpy as np
import pytest

from components.errors import InvalidInputError
from components.metrics import SurfaceScores, surface_scores
from components.metrics.dice import Mode

Mask = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def square(shift: int = 0, size: int = 24) -> Mask:
    mask = np.zeros((size, size), np.uint8)
    mask[6 + shift : 12 + shift, 6:12] = 1
    return mask


def compared(
    *pairs: tuple[Mask, Mask], mode: Mode = "multiclass", tolerance: float = 1.0, **more: object
) -> SurfaceScores:
    ours, theirs = zip(*pairs, strict=True)
    options: dict[str, object] = {"classes": 1, **more}
    return surface_scores(ours, theirs, mode=mode, tolerance=tolerance, **options)  # type: ignore[arg-type]


EMPTY: Mask = np.zeros((24, 24), np.uint8)


def test_a_square_moved_by_three_pixels() -> None:
    """Each has 20 border pixels: columns 6 and 11, and two rows. The rows are 6 to 11 and 9 to 14."""
    found = compared((square(3), square()))
    assert found.hd95.mean == 3.0
    # Of each, on a side along the move: the three pixels that both have, the next one, and one around the corner.
    assert found.nsd.mean == (2 * 5 + 2 * 5) / (20 + 20)
    assert compared((square(3), square()), tolerance=3.0).nsd.mean == 1.0
    assert (found.missed, found.spurious, found.nsd.undefined) == (0, 0, 0)


def test_equal_masks_are_perfect() -> None:
    found = compared((square(), square()), tolerance=0.0)
    assert (found.nsd.mean, found.hd95.mean) == (1.0, 0.0)


@pytest.mark.parametrize("axes", [2, 3])
def test_distances_are_in_the_unit_of_the_spacing(axes: int) -> None:
    ours, theirs = (np.repeat(mask[..., None], 5, axis=-1) if axes == 3 else mask for mask in (square(2), square()))
    spacings = [(2.5, 1.0, 4.0)[:axes]]
    found = compared((ours, theirs), spacings=spacings, tolerance=4.9)
    assert found.hd95.mean == 5.0
    assert found.nsd.mean < 1
    assert compared((ours, theirs), spacings=spacings, tolerance=5.0).nsd.mean == 1.0


def test_a_missed_case_has_no_hd95_but_is_counted_and_its_nsd_is_zero() -> None:
    found = compared((square(), square()), (EMPTY, square()), (square(), EMPTY), (EMPTY, EMPTY))
    assert (found.missed, found.spurious) == (1, 1)
    assert (found.nsd.mean, found.nsd.undefined) == pytest.approx((1 / 3, 1))
    assert (found.hd95.mean, found.hd95.undefined) == (0.0, 3)
    np.testing.assert_array_equal(found.nsd.per_case, [[1.0], [0.0], [0.0], [np.nan]])


def test_all_cases_missed_leave_no_hd95() -> None:
    found = compared((EMPTY, square()))
    assert np.isnan(found.hd95.mean)
    assert (found.nsd.mean, found.missed) == (0.0, 1)


def test_each_class_is_compared_by_itself_and_unscored_ones_are_left_out() -> None:
    truth = square() + 2 * square(9)
    ours = square() + 2 * square(8)
    found = compared((ours, truth), classes=3, scored=[True, True, False])
    assert found.nsd.per_class[:2] == (1.0, 1.0)
    assert (found.hd95.per_class[0], found.hd95.per_class[1]) == (0.0, 1.0)
    assert np.isnan(found.nsd.per_class[2])
    assert (found.missed, found.nsd.undefined) == (0, 0)
    channels = [np.stack([mask == 1, mask == 2]).astype(np.uint8) for mask in (ours, truth)]
    again = compared((channels[0], channels[1]), mode="multilabel", classes=2)
    assert again.hd95.mean == found.hd95.mean == 0.5


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_ignored_pixels_are_background_in_both(mode: Mode) -> None:
    ours, truth = square(), square()
    truth[:3] = 255
    ours[:3, :3] = 1  # predicted where nobody knows
    masks = (ours, truth) if mode == "multiclass" else (ours[None], truth[None])
    found = compared(masks, mode=mode, ignore_index=255)
    assert (found.nsd.mean, found.hd95.mean) == (1.0, 0.0)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="tolerance: found -1"):
        compared((square(), square()), tolerance=-1.0)
    with pytest.raises(InvalidInputError, match="found 1 predicted and 2 true masks"):
        surface_scores([square()], [square()] * 2, mode="multiclass", classes=1, tolerance=1.0)
    with pytest.raises(InvalidInputError, match=r"found a predicted mask \(24, 24\) and a true one \(20, 20\)"):
        compared((square(), square(size=20)))
    with pytest.raises(InvalidInputError, match=r"spacing \(1, 0\); expected 2 positive numbers"):
        compared((square(), square()), spacings=[(1, 0)])
    with pytest.raises(InvalidInputError, match="expected 1 flags"):
        compared((square(), square()), scored=[False])
