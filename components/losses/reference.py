"""Dice and cross-entropy with fixed options, watched beside any loss."""

import torch
from torch import Tensor, nn

from components.losses.bce import EnhancedBCELoss
from components.losses.dice import EnhancedDiceLoss
from components.losses.inputs import Mode, full_precision, widened
from components.losses.running import RunningMeans
from components.losses.shared_sums import term_values


class ReferenceTerms:
    """Means over cases of the plain Dice loss and cross-entropy, the same whatever loss trains.

    Losses of different terms and weights have no common scale; these two do, so that their curves can be compared
    between trials. They take no part in training.

    Args:
        mode: what the channels mean.
        ignore_index: value of target pixels that do not count.

    Example:
        >>> reference = ReferenceTerms("binary")
        >>> reference.add(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
        >>> {name: round(value, 3) for name, value in reference.means().items()}
        {'dice': 0.333, 'bce': 0.693}
    """

    def __init__(self, mode: Mode, ignore_index: int | None = None) -> None:
        cross_entropy = "ce" if mode == "multiclass" else "bce"
        self._terms: dict[str, nn.Module] = {
            "dice": EnhancedDiceLoss(mode, ignore_index=ignore_index),
            cross_entropy: EnhancedBCELoss(mode, ignore_index=ignore_index),
        }
        self._means = RunningMeans()

    @torch.no_grad()
    def add(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            self._means.add(term_values(self._terms, widened(logits), target), cases=len(logits))

    def means(self) -> dict[str, float]:
        """Return the means so far, by term; this waits for the device."""
        return self._means.values()
