"""IoU, precision and recall say the same of a case as Dice does."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.metrics import compute_confusion_matrix_metric, get_confusion_matrix

from components.metrics import METRICS, DiceCounts, overlap_scores

NUMBERS = st.tuples(*[st.integers(0, 10**12)] * 3)


@given(counts=st.lists(NUMBERS, min_size=1, max_size=5).filter(lambda rows: any(map(sum, rows))))
def test_each_is_a_function_of_the_others(counts: list[tuple[int, int, int]]) -> None:
    found = {name: score.per_case[:, 0] for name, score in overlap_scores(np.array(counts)[:, None]).items()}
    defined = np.array([sum(row) > 0 for row in counts])
    assert all(np.isnan(values[~defined]).all() for values in found.values())
    dice, iou, precision, recall = (found[name][defined] for name in METRICS)
    np.testing.assert_allclose(iou, dice / (2 - dice), rtol=1e-9)
    both = precision + recall
    harmonic = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    np.testing.assert_allclose(dice, harmonic, rtol=1e-9)


def test_they_are_monais_where_monai_defines_them() -> None:
    random = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(6, 3, 9, 8, generator=random), torch.randint(2, (6, 3, 9, 8), generator=random)
    counts = DiceCounts("multilabel")
    counts.add(logits, masks)
    ours = overlap_scores(counts.scores().counts)
    for name, theirs in (("precision", "precision"), ("recall", "sensitivity"), ("iou", "threat score")):
        matrix = get_confusion_matrix((logits > 0).float(), masks.float(), include_background=True)
        expected = compute_confusion_matrix_metric(theirs, matrix)
        np.testing.assert_allclose(ours[name].per_case, expected.numpy(), rtol=1e-5)


def test_what_is_only_in_one_of_truth_and_prediction_is_zero_in_all() -> None:
    counts = np.array([[[0, 5, 0]], [[0, 0, 5]], [[5, 0, 0]], [[0, 0, 0]]])
    for score in overlap_scores(counts).values():
        assert score.per_case[:3, 0].tolist() == [0, 0, 1]
        assert np.isnan(score.per_case[3, 0])
        assert score.mean == pytest.approx(1 / 3)


def test_a_class_that_is_not_scored_does_not_count() -> None:
    counts = np.array([[[1, 0, 0], [0, 1, 0]]])
    scores = overlap_scores(counts, [True, False])
    assert all(score.mean == 1 and np.isnan(score.per_class[1]) for score in scores.values())


def test_dice_is_that_of_the_objective() -> None:
    counts = DiceCounts("multiclass")
    counts.add(torch.randn(4, 3, 8, 8), torch.randint(3, (4, 8, 8)))
    scores = counts.scores()
    again = overlap_scores(scores.counts)["dice"]
    assert again.mean == pytest.approx(scores.mean)
    assert again.per_class == pytest.approx(scores.per_class)
