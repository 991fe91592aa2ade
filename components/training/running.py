"""Scores over the batches of an epoch so far, each case counting once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from components.losses import LossBreakdown
from components.metrics import threshold_counts
from components.metrics.dice import DiceCounts, DiceScores, Mode, score_counts
from components.training.scores import score_columns, threshold_columns


class RunningScores:
    """Scores of one epoch.

    Classes count that occur in a mask; where there is none, those that were predicted.

    Args:
        mode: what the masks mean.
        ignore_index: mask value of pixels that do not count.
        names: of the foreground classes; by default their numbers, or `foreground`.
    """

    def __init__(self, mode: Mode, ignore_index: int | None = None, names: Sequence[str] | None = None) -> None:
        self._mode, self._ignore_index, self._names = mode, ignore_index, names
        self._counts = DiceCounts(mode, ignore_index)
        self._thresholds = threshold_counts(mode, ignore_index)
        self._losses: dict[str, float] = {}
        self._cases = 0

    def add(self, parts: LossBreakdown, logits: Tensor, masks: Tensor, *, sweep: bool = False) -> dict[str, float]:
        """Add a batch.

        Args:
            parts: of its loss, all finite.
            logits: `(B, C, *spatial)`.
            masks: as `DiceCounts` takes them.
            sweep: also count at other thresholds than ½, where the mode has one.

        Returns:
            Its own `dice`, left out where no class occurs, neither in masks nor in predictions.
        """
        for name, value in {
            "loss": parts.total,
            **{f"loss_{name}": term for name, term in parts.terms.items()},
        }.items():
            self._losses[name] = self._losses.get(name, 0.0) + float(value.detach()) * len(logits)
        self._cases += len(logits)
        own = DiceCounts(self._mode, self._ignore_index)
        for counts in (own, self._counts):
            counts.add(logits, masks)
        if sweep and self._thresholds is not None:
            self._thresholds.add(logits, masks)
        scores = _scores(own)
        return {} if scores is None else {"dice": scores[0].mean}

    def of_training(self) -> dict[str, float]:
        """`train_loss`, `train_loss_<term>` and `train_dice`; none before the first batch."""
        scores = _scores(self._counts) if self._cases else None
        return self._means("train_") | ({} if scores is None else {"train_dice": scores[0].mean})

    def of_validation(self) -> dict[str, float]:
        """`val_loss`, `val_loss_<term>`, and as of `score_columns` and `threshold_columns`."""
        found = _scores(self._counts)
        if found is None:
            return self._means("val_")
        scores, scored = found
        names = self._names or _numbered(len(scored))
        columns = self._means("val_") | score_columns(scores, names, scored)
        return columns if self._thresholds is None else columns | threshold_columns(self._thresholds, names, scored)

    def _means(self, prefix: str) -> dict[str, float]:
        return {f"{prefix}{name}": total / self._cases for name, total in self._losses.items()}


def _scores(counts: DiceCounts) -> tuple[DiceScores, list[bool]] | None:
    """Scores and which classes are scored; None where there is none."""
    found = counts.counts()
    scored = _occurring(found)
    return (score_counts(found, scored), scored.tolist()) if scored.any() else None


def _occurring(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    tp, fp, fn = (counts[..., part].sum(axis=0) for part in range(3))
    in_masks: npt.NDArray[np.bool_] = tp + fn > 0
    return in_masks if in_masks.any() else fp > 0


def _numbered(classes: int) -> list[str]:
    return ["foreground"] if classes == 1 else [str(number) for number in range(1, classes + 1)]
