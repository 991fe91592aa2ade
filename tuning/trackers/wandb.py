"""Weights & Biases: a run a trial, whose id is the same in every attempt."""

from typing import Any, Literal

from components.errors import MissingExtraError
from tuning.record import TrialEntry, trial_name
from tuning.trackers.tracking import TrackedStudy

try:
    import wandb
except ImportError as error:
    raise MissingExtraError("trackers.wandb: needs the extra. Hint: pip install 'segtune[wandb]'.") from error


class WandbTracker:
    """Logs to W&B, or offline into `DIR/wandb`; see `Tracker`.

    Offline, each attempt of a trial writes a folder of its own with the same id; `wandb sync` joins them.

    Args:
        study: whose numbers are logged.
        mode: offline or online.
    """

    def __init__(self, study: TrackedStudy, mode: Literal["offline", "online"]) -> None:
        self._study, self._mode = study, mode
        self._runs: dict[int, Any] = {}

    def start(self, number: int, name: str, settings: dict[str, Any]) -> None:
        """Make the trial's run, or go on with it."""
        self._runs[number] = wandb.init(
            project=self._study.project,
            group=self._study.name,
            id=f"{self._study.identity[:12]}-{trial_name(number)}",
            name=name,
            config=settings,
            dir=self._study.directory.root,
            mode=self._mode,
            resume="allow",
            reinit="create_new",  # several trials run at a time
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )

    def log(self, number: int, epoch: int, values: dict[str, float]) -> None:
        """Log an epoch; W&B leaves out one that it has already."""
        self._runs[number].log(values, step=epoch)

    def end(self, entry: TrialEntry) -> None:
        """Close the run, with why it ended."""
        run = self._runs.pop(entry.number, None)
        if run is not None:
            run.summary.update({"state": entry.state, "cause": entry.cause})
            run.finish(exit_code=1 if entry.state == "failed" else 0)

    def close(self) -> None:
        """Write what is held back."""
        for run in self._runs.values():
            run.finish()
        self._runs.clear()
