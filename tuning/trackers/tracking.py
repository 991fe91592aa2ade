"""Tells trackers what a study tells its listener; a tracker that fails is left out, and the study goes on."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from components.plain_text import error_text
from components.references import resolve
from tuning.config import StudyConfig
from tuning.listener import Listener
from tuning.record import StudyDirectory, TrialEntry, trial_label

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedStudy:
    """What trackers know of the study.

    Attributes:
        directory: of the study.
        identity: the same in all attempts, and no other study's.
        name: of the study.
        project: that its runs belong to.
    """

    directory: StudyDirectory
    identity: str
    name: str
    project: str


class Tracker(Protocol):
    """A place that numbers go to."""

    def start(self, number: int, name: str, settings: dict[str, Any]) -> None:
        """A trial starts, or goes on, maybe in another process than before: then in the same run.

        Args:
            number: of the trial.
            name: `trial 7`, `baseline dice`.
            settings: sampled ones, by dotted path.
        """

    def log(self, number: int, epoch: int, values: dict[str, float]) -> None:
        """An epoch was recorded; after a kill the same epoch may come again, with the same values."""

    def end(self, entry: TrialEntry) -> None:
        """The trial ended; no more comes of it."""

    def close(self) -> None:
        """The run of the study is over; trials that have not ended may go on in a later one."""


def make_tracking(config: StudyConfig, directory: StudyDirectory) -> Listener:
    """What tells the trackers that the study names of its events; close it, so that they write what they hold.

    Args:
        config: names the trackers.
        directory: of the study, which is made already.

    Raises:
        MissingExtraError: a tracker's package is not installed.
    """
    return _Tracking(directory, _make_trackers(config, directory))


def _make_trackers(config: StudyConfig, directory: StudyDirectory) -> dict[str, Tracker]:
    # Within the function: each package takes seconds to load, or is not there.
    section, found = config.trackers, dict[str, Tracker]()
    study = TrackedStudy(directory, directory.read()["id"], config.name, section.project or config.name)
    if section.tensorboard:
        from tuning.trackers.tensorboard import TensorBoardTracker  # noqa: PLC0415

        found["TensorBoard"] = TensorBoardTracker(study)
    if section.mlflow is not None:
        from tuning.trackers.mlflow import MLflowTracker  # noqa: PLC0415

        found["MLflow"] = MLflowTracker(study, resolve(section.mlflow, "trackers.mlflow"))
    if section.wandb is not None:
        from tuning.trackers.wandb import WandbTracker  # noqa: PLC0415

        found["W&B"] = WandbTracker(study, section.wandb)
    return found


class _Tracking(Listener):
    """Hands on what it hears."""

    def __init__(self, directory: StudyDirectory, trackers: dict[str, Tracker]) -> None:
        self._directory, self._trackers = directory, trackers
        self._open: set[int] = set()

    def trial_started(self, number: int, baseline: str | None) -> None:
        """See `Tracker.start`; a trial that goes on within this run of the study has begun already."""
        if number in self._open:
            return
        self._open.add(number)
        trial, name = self._directory.trial(number), trial_label(number, baseline)
        self._tell(lambda tracker: tracker.start(number, name, trial.settings()))

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """See `Tracker.log`."""
        values = {name: float(value) for name, value in row.items() if _is_number(value) and name != "epoch"}
        self._tell(lambda tracker: tracker.log(number, row["epoch"], values))

    def trial_ended(self, entry: TrialEntry) -> None:
        """See `Tracker.end`."""
        if entry.state != "running":
            self._open.discard(entry.number)
            self._tell(lambda tracker: tracker.end(entry))

    def close(self) -> None:
        """See `Tracker.close`."""
        self._tell(lambda tracker: tracker.close())

    def _tell(self, event: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                event(tracker)
            except Exception as error:  # noqa: BLE001 - a server that is away raises anything; the record has it all
                del self._trackers[name]
                _logger.warning("%s is left out from here on: %s", name, error_text(error))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
