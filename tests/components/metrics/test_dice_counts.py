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
