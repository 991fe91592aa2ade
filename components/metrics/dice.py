"""Hard Dice per case and class from integer counts.

Counts are int64, so the score does not depend on the batch size and adds up exactly over workers.
Dice (Dice 1945; Sørensen 1948): 2·TP / (2·TP + FP + FN).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.errors import InvalidInputError

Mode = Literal["binary", "multilabel", "multiclass"]


@dataclass(frozen=True)
class DiceScores:
    """Mean hard Dice of a split.

    Attributes:
        mean: mean over cases, then over foreground classes.
        per_class: mean over the defined cases of each foreground class, in class order.
        per_case: `(cases, classes)` float64; NaN where neither truth nor prediction holds the class.
        undefined: number of (case, class) pairs left out because both were empty.
    """

    mean: float
    per_class: tuple[float, ...]
    per_case: npt.NDArray[np.float64]
    undefined: int


class DiceCounts:
    """Collects TP, FP and FN of each case and foreground class.

    Probability 0.5 decides for `binary` and `multilabel`, the largest logit for `multiclass`, whose class 0
    is the background and is not scored.

    Example:
        >>> counts = DiceCounts("binary")
        >>> counts.add(torch.tensor([[[[9.0, -9.0]]]]), torch.tensor([[[[1, 0]]]]))
        >>> counts.scores().mean
        1.0
    """

    def __init__(self, mode: Mode) -> None:
        if mode not in ("binary", "multilabel", "multiclass"):
            raise InvalidInputError(f"mode: found {mode!r}; use 'binary', 'multilabel' or 'multiclass'.")
        self._mode = mode
        self._counts: list[npt.NDArray[np.int64]] = []

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            logits: `(B, C, *spatial)`, any float dtype.
            target: `(B, C, *spatial)` of 0/1 for binary and multilabel; `(B, *spatial)` class indices for multiclass.

        Raises:
            InvalidInputError: the shapes do not fit each other.
        """
        predicted, true = self._as_masks(logits, target)
        spatial = tuple(range(2, predicted.ndim))
        tp = (predicted & true).sum(dim=spatial)
        fp = (predicted & ~true).sum(dim=spatial)
        fn = (~predicted & true).sum(dim=spatial)
        self._counts.append(torch.stack((tp, fp, fn), dim=-1).cpu().numpy())

    def scores(self) -> DiceScores:
        """Score everything counted so far.

        Raises:
            InvalidInputError: nothing was counted, or a class occurs in no case, neither in truth nor in prediction.
        """
        if not self._counts:
            raise InvalidInputError("Dice of no case at all: the split is empty. Hint: check how the data is split.")
        tp, fp, fn = np.moveaxis(np.concatenate(self._counts), -1, 0)
        denominator = 2 * tp + fp + fn
        defined = denominator > 0
        empty = np.flatnonzero(~defined.any(axis=0))
        if empty.size:
            raise InvalidInputError(
                f"Dice is undefined: foreground class(es) {(empty + 1).tolist()} occur in no case, neither in the "
                "masks nor in the predictions. Hint: the split needs at least one case of each class."
            )
        per_case = np.full(tp.shape, np.nan)
        per_case[defined] = 2 * tp[defined] / denominator[defined]
        per_class = np.nanmean(per_case, axis=0)
        return DiceScores(
            mean=float(per_class.mean()),
            per_class=tuple(float(value) for value in per_class),
            per_case=per_case,
            undefined=int((~defined).sum()),
        )

    def _as_masks(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if self._mode == "multiclass":
            expected = (logits.shape[0], *logits.shape[2:])
            if tuple(target.shape) != expected:
                raise InvalidInputError(f"target: found shape {tuple(target.shape)}, expected {expected}.")
            classes = torch.arange(1, logits.shape[1], device=logits.device).view(1, -1, *([1] * (logits.ndim - 2)))
            return logits.argmax(dim=1, keepdim=True) == classes, target.unsqueeze(1) == classes
        if target.shape != logits.shape:
            raise InvalidInputError(f"target: found shape {tuple(target.shape)}, expected {tuple(logits.shape)}.")
        return logits > 0, target > 0
