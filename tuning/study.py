"""A study: launched, resumed and finished by the same call."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from components.data import SegmentationData
from search_spaces import Baseline, Space, baselines, make_sampler
from tuning.config import StudyConfig
from tuning.dotted import import_object
from tuning.engine import StopFlag, ray_running
from tuning.errors import StudyConfigError
from tuning.identity import open_directory
from tuning.listener import Listener
from tuning.lock import study_lock
from tuning.plan import check_space, make_plan
from tuning.record import Journal, StudyDirectory, TrialEntry
from tuning.run import StudyRun
from tuning.trial import build_loss

_logger = logging.getLogger(__name__)


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
            data = _load_data(self.config)
            space, usual = _search(self.config, data)
            changed = open_directory(self.directory, self.config, data)
            journal, cut = Journal.open_exclusively(self.directory.journal, self.config.name)
            if cut:
                _logger.warning("cut a torn last line of %d bytes from %s", len(cut), self.directory.journal)
            listener.planned(make_plan(self.config, self.directory, data, space, usual, journal.trials()))
            run = StudyRun(self.config, self.directory, journal, data, space, usual, changed, stop, listener)
            if run.has_work():
                with ray_running(self.config.resources):
                    run.attempt_until_done()
            return StudyResult(self.directory.root, journal.trials(), stop.is_set)


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


def _load_data(config: StudyConfig) -> SegmentationData:
    data = import_object(config.data.build, "data.build")(**config.data.arguments)
    if not isinstance(data, SegmentationData):
        raise StudyConfigError(
            f"data.build: {config.data.build} returned {type(data).__name__}, "
            "expected components.data.SegmentationData."
        )
    return data


def _search(config: StudyConfig, data: SegmentationData) -> tuple[Space, tuple[Baseline, ...]]:
    space = Space.from_config(config.search.space, mode=data.mode)
    check_space(space, config)
    _try_settings(config, space, data)
    return space, baselines(data.mode) if config.search.baselines else ()


def _try_settings(config: StudyConfig, space: Space, data: SegmentationData) -> None:
    """Draw one setting and build what can be built at once, so that a wrong name does not wait for the trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn = space.suggest(optuna.create_study(sampler=make_sampler("random", config.search.seed, 0)).ask())
    settings = config.with_overrides(drawn)
    build_loss(settings, data.mode)
    import_object(settings.model.build, "model.build")
