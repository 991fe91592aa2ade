"""The metric that a study maximises, and which Dice belongs to a checkpoint's weights."""

from collections.abc import Mapping
from typing import Any

OBJECTIVE = "val_dice"
FOLD_DICE = "fold_dice"  # of one fold's network; the objective is then the mean over the folds so far


def dice_of_weights(metrics: Mapping[str, Any]) -> Any:
    """Dice of exactly the weights that the metrics were measured with."""
    return metrics.get(FOLD_DICE, metrics[OBJECTIVE])
