"""A study: launched, resumed and finished by the same call."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import baselines
from tuning.building import resolve_precision
from tuning.checks import check_study
from tuning.config import StudyConfig
from tuning.data import load_data
from tuning.engine import StopFlag, ray_running
from tuning.identity import open_directory
from tuning.listener import Listener
from tuning.lock import study_lock
from tuning.plan import make_plan
from tuning.record import StudyDirectory, TrialEntry
from tuning.record.journal import open_journal_exclusively
from tuning.run import StudyRun


@dataclass(frozen=True)
class StudyResult:
    """How a run ended: the trials, and whether it was interrupted."""

    directory: Path
    trials: list[TrialEntry]
    interrupted: bool


class Study:
    """A study in a directory.

    Args:
        config: what to search; checked against the directory when a study is there already.
        directory: study directory; made when absent.

    Example:
        >>> config = StudyConfig.load({"name": "brain", "data": {"build": "components.data.mni152:mni152_slices"}})
        >>> Study(config, Path("studies/brain")).run().trials  # doctest: +SKIP
    """

    def __init__(self, config: StudyConfig, directory: Path) -> None:
        self.config = config
        self.directory = StudyDirectory(Path(directory))

    def run(self, listener: Listener | None = None) -> StudyResult:
        """Launch the study, or go on with it, until every trial has ended or the run is interrupted.

        The first SIGINT or SIGTERM stops cleanly, the second at once.

        Args:
            listener: told of the plan and of what happens, such as a progress display.

        Raises:
            StudyBusyError: another process runs the study.
            StudyConfigError: settings, data or search space are wrong.
            StudyMismatchError: the directory belongs to other data, settings or another format version.
            EngineError: Ray does not start or died.
        """
        listener, stop = listener or Listener(), StopFlag()
        with study_lock(self.directory), _stopped_by_signals(stop, listener), contextlib.closing(listener):
            folds = load_data(self.config.data)
            config = self._resolved()
            space = check_study(config, folds[0])
            usual = baselines(folds[0].mode) if config.search.baselines else ()
            changed = open_directory(self.directory, config, folds)
            journal = open_journal_exclusively(self.directory)
            listener.planned(make_plan(config, self.directory, folds, space, usual, journal.trials()))
            run = StudyRun(config, self.directory, journal, folds, space, usual, changed, stop, listener)
            if run.has_work():
                with ray_running(config.resources):
                    run.attempt_until_done()
            return StudyResult(self.directory.root, journal.trials(), stop.is_set)

    def _resolved(self) -> StudyConfig:
        """The settings with the precision that `auto` became when the study was made, or becomes now."""
        if self.config.training.precision == "auto" and self.directory.exists():
            recorded = self.directory.read()["settings"]["training"]["precision"]
            return self.config.with_overrides({"training.precision": recorded})
        return resolve_precision(self.config)


@contextlib.contextmanager
def _stopped_by_signals(stop: StopFlag, listener: Listener) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        del number, frame
        if stop.is_set:
            raise KeyboardInterrupt
        stop.set()
        listener.stopping()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
