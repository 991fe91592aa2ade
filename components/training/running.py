"""Loss and Dice over the batches of an epoch so far, each case counting once."""

from collections.abc import Mapping

from torch import Tensor

from components.errors import InvalidInputError
from components.metrics.dice import DiceCounts, Mode


class RunningScores:
    """Scores of one epoch.

    Args:
        mode: what the masks mean.
        ignore_index: mask value of pixels that do not count.
    """

    def __init__(self, mode: Mode, ignore_index: int | None = None) -> None:
        self._mode, self._ignore_index = mode, ignore_index
        self._counts = DiceCounts(mode, ignore_index)
        self._loss, self._cases = 0.0, 0

    def add(self, loss: float, logits: Tensor, masks: Tensor) -> dict[str, float]:
        """Add a batch; returns its own `dice`, which is left out where no case has any foreground."""
        self._counts.add(logits, masks)
        self._loss, self._cases = self._loss + loss * len(logits), self._cases + len(logits)
        own = DiceCounts(self._mode, self._ignore_index)
        own.add(logits, masks)
        return _named_dice(own, "dice")

    def so_far(self, prefix: str) -> Mapping[str, float]:
        """`<prefix>loss` and `<prefix>dice`, the latter left out while no case has any foreground."""
        return {f"{prefix}loss": self._loss / max(self._cases, 1)} | _named_dice(self._counts, f"{prefix}dice")


def _named_dice(counts: DiceCounts, name: str) -> dict[str, float]:
    try:
        return {name: counts.scores().mean}
    except InvalidInputError:  # a class that no case has had so far
        return {}
