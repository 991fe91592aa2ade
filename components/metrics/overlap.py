"""IoU, precision and recall from the counts that Dice is made of, so that all of them say the same of a case."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

METRICS = ("dice", "iou", "precision", "recall")
Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OverlapScores:
    """One metric over a split.

    Attributes:
        mean: over cases, then over the scored classes.
        per_class: mean over the defined cases of each foreground class; NaN for one not scored.
        per_case: `(cases, classes)` float64; NaN where neither truth nor prediction holds the class.
    """

    mean: float
    per_class: tuple[float, ...]
    per_case: Values


def overlap_scores(counts: Counts, scored: Sequence[bool] | None = None) -> dict[str, OverlapScores]:
    """Dice, IoU, precision and recall of each case and class, and their means.

    With TP, FP and FN: Dice 2·TP / (2·TP + FP + FN), IoU (Jaccard 1912) TP / (TP + FP + FN), precision TP / (TP + FP),
    recall TP / (TP + FN). A class that neither truth nor prediction holds in a case is left out there, for all four
    alike. Where only one of them holds it all four are 0: a precision of nothing predicted, or a recall of nothing to
    be found, would else be left out exactly where the network is wrong.

    Args:
        counts: `(cases, classes, 3)` int64 of TP, FP and FN.
        scored: one flag per foreground class, whether it counts in the means; None for all.

    Returns:
        By name, in the order of `METRICS`.

    Example:
        >>> scores = overlap_scores(np.array([[[6, 2, 2]]]))
        >>> {name: score.mean for name, score in scores.items()}
        {'dice': 0.75, 'iou': 0.6, 'precision': 0.75, 'recall': 0.75}
    """
    tp, fp, fn = (counts[..., index] for index in range(3))
    defined = tp + fp + fn > 0
    flags = np.ones(tp.shape[1], dtype=bool) if scored is None else np.asarray(scored, dtype=bool)
    wholes = {"dice": 2 * tp + fp + fn, "iou": tp + fp + fn, "precision": tp + fp, "recall": tp + fn}
    return {name: _scores((2 if name == "dice" else 1) * tp, wholes[name], defined, flags) for name in METRICS}


def _scores(
    parts: Counts, wholes: Counts, defined: npt.NDArray[np.bool_], scored: npt.NDArray[np.bool_]
) -> OverlapScores:
    per_case = np.where(defined, parts / np.maximum(wholes, 1), np.nan)
    per_class = np.nansum(per_case, axis=0) / np.maximum(defined.sum(axis=0), 1)
    per_class[~(scored & defined.any(axis=0))] = np.nan
    known = per_class[~np.isnan(per_class)]
    return OverlapScores(
        mean=float(known.mean()) if known.size else float("nan"),
        per_class=tuple(float(value) for value in per_class),
        per_case=per_case,
    )
