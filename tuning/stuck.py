"""Notices a trial whose Dice does not move at all, and says what that may mean."""

from typing import Any

from tuning.listener import Listener
from tuning.objective import OBJECTIVE
from tuning.record import TrialEntry, trial_label

_EPOCHS = 5  # after which a trial that goes on is named
_LEAST = 2  # of a trial that has ended


class StuckDice(Listener):
    """Tells a listener, once in a run, of a trial whose validation Dice is bit-identical in all its epochs.

    Args:
        listener: that is told.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener, self._said = listener, False
        self._seen: dict[int, set[float]] = {}
        self._epochs: dict[int, int] = {}

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """Compare an epoch's Dice with those before."""
        self._seen.setdefault(number, set()).add(row[OBJECTIVE])
        self._epochs[number] = self._epochs.get(number, 0) + 1
        if self._epochs[number] == _EPOCHS and len(self._seen[number]) == 1:
            self._say(trial_label(number), row[OBJECTIVE], _EPOCHS)

    def trial_ended(self, entry: TrialEntry) -> None:
        """Look at all its epochs, also at those of earlier attempts."""
        self._seen.pop(entry.number, None)
        self._epochs.pop(entry.number, None)
        if entry.state in ("complete", "pruned") and stuck_at(entry) is not None:
            self._say(trial_label(entry.number, entry.baseline), next(iter(entry.dice.values())), len(entry.dice))

    def _say(self, name: str, dice: float, epochs: int) -> None:
        if not self._said:
            self._said = True
            self._listener.warned(f"{name} {stuck_text(dice, epochs)}")


def stuck_at(entry: TrialEntry) -> float | None:
    """The Dice that a trial had in all its epochs; None where it has moved, or there are too few."""
    found = set(entry.dice.values())
    return found.pop() if len(entry.dice) >= _LEAST and len(found) == 1 else None


def stuck_text(dice: float, epochs: int) -> str:
    """What it means, and what to do.

    Example:
        >>> stuck_text(0.0, 3).partition(":")[0]
        'had the same val_dice, 0.0000, in all 3 epochs'
    """
    why = (
        "it predicts nothing. Hint: train for longer, raise training.lr or training.foreground, and look at the masks"
        if dice == 0
        else "its masks do not change. Hint: does the network end in a sigmoid or softmax (return logits), are its "
        "weights frozen, or is training.lr too small?"
    )
    return f"had the same val_dice, {dice:.4f}, in all {epochs} epochs: {why}"
