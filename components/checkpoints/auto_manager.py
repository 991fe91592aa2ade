"""The checkpoint manager that weighs what a save costs against what a failure would."""

from pathlib import Path
from typing import Any

from components.checkpoints.manager import CheckpointManager


class AutoCheckpointManager(CheckpointManager):
    """The manager with the strategy `adaptive`: clear gains at once, recovery saves within an overhead budget.

    Args:
        model_dir: directory of the checkpoints.
        model_name: begins the name of each.
        overhead: share of the run that saving may take.
        mean_time_to_failure: seconds.
        z: standard errors that a clear gain exceeds.
        patience: epochs without a gain after which saves for recovery become rarer.
        max_backoff: by how much rarer at the most.
        options: as of `CheckpointManager`.
    """

    def __init__(
        self,
        model_dir: str | Path = "checkpoints",
        model_name: str = "model",
        *,
        overhead: float = 0.01,
        mean_time_to_failure: float = 4 * 3600.0,
        z: float = 1.0,
        patience: int = 10,
        max_backoff: float = 4.0,
        **options: Any,
    ) -> None:
        adaptive = {
            "overhead": overhead,
            "mean_time_to_failure": mean_time_to_failure,
            "z": z,
            "patience": patience,
            "max_backoff": max_backoff,
        }
        super().__init__(model_dir, model_name, "adaptive", adaptive=adaptive, **options)
