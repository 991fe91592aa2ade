"""The probability above which a pixel is foreground, swept over a split in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses.ignored import valid_pixels
from components.mask_policy import FOREGROUND, checked_policy
from components.metrics.bins import Bins
from components.metrics.overlap import Counts

HALF = 0.5  # the threshold of the objective
THRESHOLDS = tuple(step / 100 for step in range(1, 100))


class ThresholdCounts:
    """Counts TP, FP and FN of each case and class at many thresholds, by one histogram of the logits.

    A pixel is foreground at threshold t where its logit exceeds log(t / (1 - t)), rounded to fp32; for ½ that is 0, so
    that the counts there are those of `DiceCounts`.

    Args:
        mode: `binary` or `multilabel`, whose classes have thresholds of their own; in `multiclass` the largest logit
            decides.
        thresholds: probabilities between 0 and 1, rising, ½ among them.
        ignore_index: as in `DiceCounts`.

    Raises:
        InvalidInputError: the mode has no threshold, the thresholds are not as said, or the index is a class.

    Example:
        >>> counts = ThresholdCounts("binary", (0.5, 0.9))
        >>> counts.add(torch.tensor([[[[1.0, 9.0]]]]), torch.tensor([[[[0, 1]]]]))
        >>> counts.counts().tolist()
        [[[[1, 1, 0], [1, 0, 0]]]]
    """

    def __init__(
        self,
        mode: Literal["binary", "multilabel", "multiclass"],
        thresholds: Sequence[float] = THRESHOLDS,
        ignore_index: int | None = None,
    ) -> None:
        if mode not in ("binary", "multilabel"):
            raise InvalidInputError(
                f"mode: found {mode!r}, which has no threshold. Hint: use 'binary' or 'multilabel'."
            )
        values = np.asarray(thresholds, dtype=np.float64)
        rising = values.ndim == 1 and values.size and values[0] > 0 and values[-1] < 1 and (np.diff(values) > 0).all()
        if not rising or HALF not in values:
            raise InvalidInputError(
                f"thresholds: found {list(thresholds)}; expected rising numbers between 0 and 1, {HALF} among them."
            )
        self.thresholds = tuple(values.tolist())
        self._bins = Bins(torch.from_numpy(np.log(values / (1 - values)).astype(np.float32)))
        self._ignore_index = checked_policy(None, ignore_index, mode).ignore_index
        self._counts: list[Counts] = []

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            logits: `(B, C, *spatial)`, any float dtype.
            target: `(B, C, *spatial)` of 0/1, soft ones cut at ½; the ignored index besides.

        Raises:
            InvalidInputError: the shapes differ.
        """
        if target.shape != logits.shape:
            raise InvalidInputError(f"target: found shape {tuple(target.shape)}, expected {tuple(logits.shape)}.")
        cases, classes = logits.shape[:2]
        bins = len(self.thresholds) + 1
        keys = self._bins.of(logits)
        keys += (target > FOREGROUND).to(torch.int32).mul_(bins)
        pairs = torch.arange(cases * classes, dtype=torch.int32, device=logits.device)
        keys += 2 * bins * pairs.view(cases, classes, *[1] * (logits.ndim - 2))
        if self._ignore_index is not None:
            keys = keys[valid_pixels(target, self._ignore_index)]
        pixels = torch.bincount(keys.flatten(), minlength=cases * classes * 2 * bins)
        self._counts.append(_at_thresholds(pixels.view(cases, classes, 2, bins).cpu().numpy()))

    def counts(self) -> Counts:
        """TP, FP and FN, int64 `(cases, classes, thresholds, 3)`.

        Raises:
            InvalidInputError: nothing was counted.
        """
        if not self._counts:
            raise InvalidInputError("thresholds of no case at all: the split is empty.")
        return np.concatenate(self._counts)


def threshold_counts(
    mode: Literal["binary", "multilabel", "multiclass"], ignore_index: int | None = None
) -> ThresholdCounts | None:
    """Empty counts at the usual thresholds; None where the mode has none.

    Args:
        mode: what the masks mean.
        ignore_index: as in `DiceCounts`.
    """
    return None if mode == "multiclass" else ThresholdCounts(mode, ignore_index=ignore_index)


def _at_thresholds(pixels: Counts) -> Counts:
    """From pixels by truth and bin to counts at each threshold: what lies in a bin above it is predicted."""
    above = pixels[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]
    false_positive, true_positive = above[:, :, 0], above[:, :, 1]
    missed = pixels[:, :, 1].sum(axis=-1, keepdims=True) - true_positive
    return np.stack((true_positive, false_positive, missed), axis=-1)


@dataclass(frozen=True)
class ThresholdSweep:
    """Dice over thresholds, and the best threshold of each class.

    A tuned threshold and its Dice belong to the split that they were tuned on; on other cases the gain is smaller.

    Attributes:
        thresholds: those that were tried.
        dice: `(classes, thresholds)`: mean over the defined cases, as in `DiceScores`; NaN for a class not scored.
        tuned: threshold of the best Dice of each class, of equal ones the nearest to ½; ½ for one not scored.
        dice_at_half: mean over the scored classes at ½.
        dice_at_tuned: mean over the scored classes, each at its own threshold.
    """

    thresholds: tuple[float, ...]
    dice: npt.NDArray[np.float64]
    tuned: tuple[float, ...]
    dice_at_half: float
    dice_at_tuned: float


def sweep_threshold(counted: ThresholdCounts, scored: Sequence[bool] | None = None) -> ThresholdSweep:
    """Find the threshold of the best Dice for each class, on the cases that were counted.

    Args:
        counted: with at least one case.
        scored: one flag per class, as in `DiceCounts`; None for all.

    Raises:
        InvalidInputError: nothing was counted, or a scored class occurs in no case, neither in truth nor at ½.

    Example:
        >>> counts = ThresholdCounts("binary", (0.5, 0.9))
        >>> counts.add(torch.tensor([[[[1.0, 9.0]]]]), torch.tensor([[[[0, 1]]]]))
        >>> sweep_threshold(counts).tuned
        (0.9,)
    """
    dice = _mean_dice(counted.counts())
    flags = np.ones(len(dice), dtype=bool) if scored is None else np.asarray(scored, dtype=bool)
    if flags.shape != (len(dice),) or not flags.any():
        raise InvalidInputError(f"scored: found {scored!r}; expected {len(dice)} flags, at least one of them True.")
    dice[~flags] = np.nan
    half = counted.thresholds.index(HALF)
    if np.isnan(dice[flags, half]).any():
        raise InvalidInputError("Dice is undefined at ½: a class occurs in no case. Hint: leave it out with scored.")
    distance = np.abs(np.asarray(counted.thresholds) - HALF)
    # Sorted by Dice, then nearness to ½; NaN, which no case defines, goes last.
    best = [int(np.lexsort((distance, -row))[0]) if flag else half for row, flag in zip(dice, flags, strict=True)]
    chosen = dice[np.arange(len(dice)), best]
    return ThresholdSweep(
        thresholds=counted.thresholds,
        dice=dice,
        tuned=tuple(counted.thresholds[index] for index in best),
        dice_at_half=float(dice[flags, half].mean()),
        dice_at_tuned=float(chosen[flags].mean()),
    )


def _mean_dice(counts: Counts) -> npt.NDArray[np.float64]:
    """Mean over the defined cases: `(classes, thresholds)`; NaN where there is none."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    whole = 2 * tp + fp + fn
    defined = whole > 0
    sums = np.where(defined, 2 * tp / np.maximum(whole, 1), 0.0).sum(axis=0)
    cases = defined.sum(axis=0)
    return np.where(cases > 0, sums / np.maximum(cases, 1), np.nan)
