"""Hard Dice per case and class from integer counts.

Counts are int64, so the score does not depend on the batch size and adds up exactly over workers.
Dice (Dice 1945; Sørensen 1948): 2·TP / (2·TP + FP + FN).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses.ignored import valid_pixels
from components.mask_policy import FOREGROUND, MaskPolicy, checked_policy

Mode = Literal["binary", "multilabel", "multiclass"]


@dataclass(frozen=True)
class DiceScores:
    """Mean hard Dice of a split.

    Attributes:
        mean: mean over cases, then over the scored foreground classes.
        per_class: mean over the defined cases of each foreground class, in class order; NaN for one not scored.
        per_case: `(cases, classes)` float64; NaN where neither truth nor prediction holds the class.
        undefined: number of (case, scored class) pairs left out because both were empty.
        counts: `(cases, classes, 3)` int64 of TP, FP and FN, for `overlap_scores`.
    """

    mean: float
    per_class: tuple[float, ...]
    per_case: npt.NDArray[np.float64]
    undefined: int
    counts: npt.NDArray[np.int64]

    def by_case(self, names: Sequence[str]) -> dict[str, float]:
        """Mean over the defined classes of each case, by its name; a case without one is left out."""
        defined = ~np.isnan(self.per_case)
        counts = defined.sum(axis=1)
        sums = np.where(defined, self.per_case, 0.0).sum(axis=1)
        return {name: float(total / count) for name, total, count in zip(names, sums, counts, strict=True) if count}


class DiceCounts:
    """Collects TP, FP and FN of each case and foreground class.

    Probability 0.5 decides for `binary` and `multilabel`, the largest logit for `multiclass`, whose class 0
    is the background and is not scored. An ignored pixel is counted neither as TP, FP nor FN.

    Args:
        mode: what the channels mean.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy: its `ignore_index` is taken; how Dice treats empty masks is fixed, see `MaskPolicy`.
        scored: one flag per foreground class, whether it counts in the scores; None for all.

    Raises:
        InvalidInputError: the mode is unknown, the index is a class, or no class is scored.

    Example:
        >>> counts = DiceCounts("binary")
        >>> counts.add(torch.tensor([[[[9.0, -9.0]]]]), torch.tensor([[[[1, 0]]]]))
        >>> counts.scores().mean
        1.0
    """

    def __init__(
        self,
        mode: Mode,
        ignore_index: int | None = None,
        *,
        policy: MaskPolicy | None = None,
        scored: Sequence[bool] | None = None,
    ) -> None:
        if mode not in ("binary", "multilabel", "multiclass"):
            raise InvalidInputError(f"mode: found {mode!r}; use 'binary', 'multilabel' or 'multiclass'.")
        self._mode = mode
        self._ignore_index = checked_policy(policy, ignore_index, mode).ignore_index
        self._scored = None if scored is None else _checked_flags(scored)
        self._counts: list[npt.NDArray[np.int64]] = []

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            logits: `(B, C, *spatial)`, any float dtype.
            target: `(B, C, *spatial)` of 0/1 for binary and multilabel, soft ones cut at ½; `(B, *spatial)` class
                indices for multiclass; the ignored index besides.

        Raises:
            InvalidInputError: the shapes do not fit each other or the flags, or the ignored index is a class.
        """
        predicted, true = self._as_masks(logits, target)
        if self._scored is not None and len(self._scored) != predicted.shape[1]:
            raise InvalidInputError(
                f"scored: found {len(self._scored)} flags for {predicted.shape[1]} foreground classes; "
                "expected one per class."
            )
        spatial = tuple(range(2, predicted.ndim))
        tp = (predicted & true).sum(dim=spatial)
        fp = (predicted & ~true).sum(dim=spatial)
        fn = (~predicted & true).sum(dim=spatial)
        self._counts.append(torch.stack((tp, fp, fn), dim=-1).cpu().numpy())

    def scores(self) -> DiceScores:
        """Score everything counted so far.

        Raises:
            InvalidInputError: nothing was counted, or a scored class occurs in no case, neither in truth nor in
                prediction.
        """
        return score_counts(self.counts(), self._scored)

    def counts(self) -> npt.NDArray[np.int64]:
        """TP, FP and FN so far, `(cases, classes, 3)`.

        Raises:
            InvalidInputError: nothing was counted.
        """
        if not self._counts:
            raise InvalidInputError("Dice of no case at all: the split is empty. Hint: check how the data is split.")
        return np.concatenate(self._counts)

    def _as_masks(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return predicted and true foreground, bool `(B, classes, *spatial)`, both False at ignored pixels."""
        indices = self._mode == "multiclass"
        expected = (logits.shape[0], *logits.shape[2:]) if indices else tuple(logits.shape)
        if tuple(target.shape) != expected:
            raise InvalidInputError(f"target: found shape {tuple(target.shape)}, expected {expected}.")
        if indices:
            target = target.unsqueeze(1)
            classes = torch.arange(1, logits.shape[1], device=logits.device).view(1, -1, *([1] * (logits.ndim - 2)))
            predicted, true = logits.argmax(dim=1, keepdim=True) == classes, target == classes
        else:
            predicted, true = logits > 0, target > FOREGROUND
        if self._ignore_index is None:
            return predicted, true
        valid = valid_pixels(target, self._ignore_index, logits.shape[1] if indices else None)
        return predicted & valid, true & valid


def score_counts(counts: npt.NDArray[np.int64], scored: npt.NDArray[np.bool_] | None = None) -> DiceScores:
    """Dice of counts.

    Args:
        counts: `(cases, classes, 3)` of TP, FP and FN.
        scored: one flag per class, whether it counts; None for all.

    Raises:
        InvalidInputError: a scored class occurs in no case, neither in truth nor in prediction.
    """
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    denominator = 2 * tp + fp + fn
    defined = denominator > 0
    scored = np.ones(tp.shape[1], dtype=bool) if scored is None else scored
    empty = np.flatnonzero(scored & ~defined.any(axis=0))
    if empty.size:
        raise InvalidInputError(
            f"Dice is undefined: foreground class(es) {(empty + 1).tolist()} occur in no case, neither in the "
            "masks nor in the predictions. Hint: the split needs at least one case of each class."
        )
    per_case = np.full(tp.shape, np.nan)
    per_case[defined] = 2 * tp[defined] / denominator[defined]
    # A class that is not scored may have no defined case, and nanmean would warn of it.
    per_class = np.nansum(per_case, axis=0) / np.maximum(defined.sum(axis=0), 1)
    per_class[~scored] = np.nan
    return DiceScores(
        mean=float(per_class[scored].mean()),
        per_class=tuple(float(value) for value in per_class),
        per_case=per_case,
        undefined=int((~defined[:, scored]).sum()),
        counts=counts,
    )


def _checked_flags(scored: Sequence[bool]) -> npt.NDArray[np.bool_]:
    flags = np.asarray(scored)
    if flags.dtype != np.bool_ or flags.ndim != 1 or not flags.any():
        raise InvalidInputError(
            f"scored: found {scored!r}; expected one bool per foreground class, at least one of them True."
        )
    return flags
