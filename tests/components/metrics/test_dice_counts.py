import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics.meandice import compute_dice

from components.errors import InvalidInputError
from components.metrics import DiceCounts


def scores_of(mode: str, logits: torch.Tensor, target: torch.Tensor, batch: int | None = None) -> DiceCounts:
    counts = DiceCounts(mode)  # type: ignore[arg-type]  # a literal, seen as str
    size = batch or len(logits)
    for start in range(0, len(logits), size):
        counts.add(logits[start : start + size], target[start : start + size])
    return counts


def test_half_of_a_mask_found_is_two_thirds() -> None:
    target = torch.tensor([[[[1, 1, 0, 0]]]])
    logits = torch.tensor([[[[5.0, -5.0, -5.0, -5.0]]]])
    assert scores_of("binary", logits, target).scores().mean == pytest.approx(2 / 3)


def test_mean_is_over_cases_then_over_classes() -> None:
    target = torch.tensor([[[1, 2]], [[1, 2]]])
    logits = torch.full((2, 3, 1, 2), -5.0)
    logits[0, 1, 0, 0] = logits[0, 2, 0, 1] = 5.0  # all right
    logits[1, 1, 0, 0] = logits[1, 1, 0, 1] = 5.0  # class 2 taken for class 1
    scores = scores_of("multiclass", logits, target).scores()
    assert scores.per_class == pytest.approx(((1 + 2 / 3) / 2, 0.5))
    assert scores.mean == pytest.approx((5 / 6 + 1 / 2) / 2)


def test_a_case_empty_in_truth_and_prediction_is_left_out_and_counted() -> None:
    target = torch.tensor([[[[0, 0]]], [[[1, 0]]]])
    logits = torch.tensor([[[[-5.0, -5.0]]], [[[5.0, -5.0]]]])
    scores = scores_of("binary", logits, target).scores()
    assert (scores.mean, scores.undefined) == (1.0, 1)
    assert np.isnan(scores.per_case[0, 0])


def test_a_false_positive_on_an_empty_case_scores_zero() -> None:
    target = torch.tensor([[[[0, 0]]], [[[1, 0]]]])
    logits = torch.tensor([[[[5.0, -5.0]]], [[[5.0, -5.0]]]])
    scores = scores_of("binary", logits, target).scores()
    assert (scores.mean, scores.undefined) == (0.5, 0)


def test_no_case_left_is_an_error_and_never_zero() -> None:
    with pytest.raises(InvalidInputError, match=r"class\(es\) \[1\] occur in no case"):
        scores_of("binary", torch.full((2, 1, 2, 2), -5.0), torch.zeros(2, 1, 2, 2)).scores()
    with pytest.raises(InvalidInputError, match="the split is empty"):
        DiceCounts("binary").scores()


def test_probability_one_half_is_not_foreground() -> None:
    counts = scores_of("binary", torch.zeros(1, 1, 1, 2), torch.tensor([[[[1, 0]]]]))
    assert counts.scores().mean == 0.0


def test_a_target_of_another_shape_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"found shape \(1, 4\), expected \(1, 1, 4\)"):
        DiceCounts("binary").add(torch.zeros(1, 1, 4), torch.zeros(1, 4))


@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 5),
    spatial=st.sampled_from([(6, 5), (3, 4, 5)]),
    classes=st.integers(2, 4),
)
@settings(max_examples=30, deadline=None)
def test_multiclass_equals_monai_whatever_the_batch(
    seed: int, batch: int, spatial: tuple[int, ...], classes: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, classes, *spatial, generator=random)
    target = torch.randint(0, classes, (5, *spatial), generator=random)
    target[0].view(-1)[:classes] = torch.arange(classes)
    ours = scores_of("multiclass", logits, target, batch).scores()
    one_hot = torch.nn.functional.one_hot
    predicted = one_hot(logits.argmax(1), classes).movedim(-1, 1)
    theirs = compute_dice(
        predicted, one_hot(target, classes).movedim(-1, 1), include_background=False, ignore_empty=True
    )
    defined = ~np.isnan(theirs.numpy())
    np.testing.assert_allclose(ours.per_case[defined], theirs.numpy()[defined], rtol=1e-6)
    assert np.nan_to_num(ours.per_case[~defined]).sum() == 0  # ours says 0 where MONAI leaves a false positive out


@given(
    seed=st.integers(0, 2**31),
    mode=st.sampled_from(["binary", "multilabel", "multiclass"]),
    spatial=st.sampled_from([(6, 4), (3, 2, 4)]),
)
@settings(max_examples=30, deadline=None)
def test_ignored_pixels_count_as_if_they_were_cut_out(seed: int, mode: str, spatial: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 1 if mode == "binary" else 3, *spatial, generator=random)
    shape = (3, *spatial) if mode == "multiclass" else logits.shape
    target = torch.randint(0, 3 if mode == "multiclass" else 2, shape, generator=random).to(torch.uint8)
    cut = counted(DiceCounts(mode), logits[..., :2], target[..., :2])  # type: ignore[arg-type]
    target[..., 2:] = 255
    ignoring = counted(DiceCounts(mode, ignore_index=255), logits, target)  # type: ignore[arg-type]
    np.testing.assert_array_equal(ignoring, cut)


def counted(counts: DiceCounts, logits: torch.Tensor, target: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype]:
    counts.add(logits, target)
    return counts._counts[0]


def test_an_ignored_pixel_is_neither_hit_nor_alarm_nor_miss() -> None:
    counts = DiceCounts("binary", ignore_index=255)
    counts.add(torch.tensor([[[[5.0, 5.0, -5.0, -5.0]]]]), torch.tensor([[[[1, 255, 255, 1]]]]))
    assert counts.scores().mean == pytest.approx(2 / 3)  # one hit, one miss


def test_a_case_of_ignored_pixels_is_undefined() -> None:
    counts = DiceCounts("multiclass", ignore_index=255)
    logits = torch.tensor([[[[-5.0]], [[5.0]]]] * 2)
    counts.add(logits, torch.tensor([[[255]], [[1]]]))
    scores = counts.scores()
    assert (scores.mean, scores.undefined) == (1.0, 1)
    only = DiceCounts("multiclass", ignore_index=255)
    only.add(logits, torch.full((2, 1, 1), 255))
    with pytest.raises(InvalidInputError, match="occur in no case"):
        only.scores()


def test_an_index_that_is_a_class_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="ignore_index: found 1, which is foreground"):
        DiceCounts("binary", ignore_index=1)
    with pytest.raises(InvalidInputError, match="ignore_index: found 2, which is one of the 3 classes"):
        DiceCounts("multiclass", ignore_index=2).add(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2))
    with pytest.raises(InvalidInputError, match=r"ignore_index: found -1; a target of dtype torch\.uint8"):
        DiceCounts("binary", ignore_index=-1).add(IMAGE, IMAGE.to(torch.uint8))


IMAGE = torch.zeros(1, 1, 2, 2)
# Two cases of two foreground classes. Class 1 is found in both; class 2 is in no mask and predicted in the second.
TWO_LOGITS = torch.tensor([[[[5.0, -5.0]], [[-5.0, -5.0]]], [[[5.0, -5.0]], [[-5.0, 5.0]]]])
TWO_TARGET = torch.tensor([[[[1, 0]], [[0, 0]]]] * 2)


def test_a_class_that_is_not_scored_is_nan_and_counts_nowhere() -> None:
    counts = DiceCounts("multilabel", scored=[True, False])
    counts.add(TWO_LOGITS, TWO_TARGET)
    scores = counts.scores()
    assert scores.per_class[0] == 1.0
    assert np.isnan(scores.per_class[1])
    assert (scores.mean, scores.undefined) == (1.0, 0)
    full = scores_of("multilabel", TWO_LOGITS, TWO_TARGET).scores()
    assert (full.per_class, full.mean, full.undefined) == ((1.0, 0.0), 0.5, 1)
    np.testing.assert_array_equal(scores.per_case, full.per_case)


def test_a_class_that_is_not_scored_may_occur_in_no_case() -> None:
    counts = DiceCounts("multilabel", scored=[True, False])
    counts.add(TWO_LOGITS[:1], TWO_TARGET[:1])
    assert counts.scores().mean == 1.0
    wrong = DiceCounts("multilabel", scored=[False, True])
    wrong.add(TWO_LOGITS[:1], TWO_TARGET[:1])
    with pytest.raises(InvalidInputError, match=r"class\(es\) \[2\] occur in no case"):
        wrong.scores()


@pytest.mark.parametrize("scored", [[], [False], [False, False], [1, 0], [[True]], "yes"])
def test_flags_without_a_scored_class_are_refused(scored: object) -> None:
    with pytest.raises(InvalidInputError, match=r"scored: found .*at least one of them True"):
        DiceCounts("multilabel", scored=scored)  # type: ignore[arg-type]


def test_there_is_one_flag_per_foreground_class() -> None:
    with pytest.raises(InvalidInputError, match="scored: found 3 flags for 2 foreground classes"):
        DiceCounts("multiclass", scored=[True] * 3).add(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2))
