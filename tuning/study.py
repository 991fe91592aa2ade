"""A study: launched, resumed and finished by the same call."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import Space
from tuning.attempts import last_start, note_killed
from tuning.building import resolve_precision
from tuning.config import StudyConfig
from tuning.data import look_first
from tuning.drawing import Drawing
from tuning.drift import describe_drift, hash_code
from tuning.engine import StopFlag, ray_running
from tuning.errors import StudyConfigError, StudyExistsError
from tuning.finalists import finalists_config, given_trials, score_held_out
from tuning.forks import worker_modules
from tuning.identity import open_directory, versions
from tuning.listener import Guarded, Listener, Listeners
from tuning.lock import study_lock
from tuning.measuring import within_budget
from tuning.moving import note_moves
from tuning.plan import make_plan
from tuning.progress import usual_listener
from tuning.record import StudyDirectory, TrialEntry
from tuning.record.journal import open_journal_exclusively
from tuning.recorded import recorded_study
from tuning.results import BestTrial, best_trial, results_table, trials_html
from tuning.run import StudyRun
from tuning.signals import StopSignals
from tuning.stop_rules import StopRules
from tuning.stuck import StuckDice
from tuning.study_file import StudyFile, read_study_file, resolve_paths
from tuning.task import Task
from tuning.tasks import open_task
from tuning.trackers import make_tracking

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StudyResult:
    """How a run ended.

    Attributes:
        interrupted: whether a person stopped it.
        stopped: the rule of the study that ended it before all its trials; empty when none did.
    """

    directory: Path
    trials: list[TrialEntry]
    interrupted: bool
    stopped: str = ""

    def _repr_html_(self) -> str:
        """What a notebook shows: how it ended, and the best trials."""
        how = "interrupted" if self.interrupted else self.stopped or "ended"
        return trials_html(StudyDirectory(self.directory), f"{escape(how)}: {escape(str(self.directory))}")


class Study:
    """A study in a directory.

    Args:
        config: what to search; checked against the directory when a study is there already.
        directory: study directory; made when absent.

    Example:
        >>> config = StudyConfig.load({"name": "brain", "data": {"build": "components.data.mni152:mni152_slices"}})
        >>> Study(config, Path("studies/brain")).run().trials  # doctest: +SKIP
    """

    def __init__(self, config: StudyConfig, directory: Path | str) -> None:
        self.config = config
        self.directory = StudyDirectory(Path(directory))
        self._made = time.monotonic()  # what a budget of time counts from

    @classmethod
    def create(cls, config: StudyConfig | dict[str, Any] | Path | str, directory: Path | str | None = None) -> "Study":
        """A new study; its first `run` makes the directory.

        Args:
            config: settings, the same as a nested mapping with paths relative to the working directory, or a study
                file.
            directory: by default `studies/<name>` in the working directory.

        Raises:
            StudyConfigError: the settings are wrong; lists every problem.
            StudyExistsError: there is a study in the directory already.
        """
        settings = _load(config)
        study = cls(settings, directory or Path("studies") / settings.name)
        if study.directory.exists():
            raise StudyExistsError(f"{study.directory.root}: holds a study already. Hint: Study.open goes on with it.")
        return study

    @classmethod
    def open(cls, directory: Path | str, settings: list[str] | None = None) -> "Study":
        """A study that was run before, as its own record has it.

        Args:
            directory: study directory.
            settings: overrides such as `resources.concurrent=4`, of what may change between attempts.

        Raises:
            StudyNotFoundError: there is no study.
            StudyMismatchError: it is of another format version.
        """
        return cls(recorded_study(Path(directory), settings).load(), directory)

    def with_more_trials(self, trials: int) -> "Study":
        """The same study with so many more trials to draw.

        Raises:
            StudyConfigError: the number is below 1, or this is a study of finalists.
        """
        if trials < 1:
            raise StudyConfigError(f"trials: must be at least 1. Found: {trials}.")
        if self.config.retrain:
            raise StudyConfigError("trials: finalists are given, none is drawn. Hint: extend the study they come from.")
        more = self.config.search.trials + trials
        return Study(self.config.with_overrides({"search.trials": more}), self.directory.root)

    def extend(self, trials: int, listener: Listener | None = None) -> StudyResult:
        """Go on with so many more trials than the study had; raises as `with_more_trials` and `run` do."""
        self.config = self.with_more_trials(trials).config
        return self.run(listener)

    def run(self, listener: Listener | None = None, *, retry_failed: bool = False) -> StudyResult:
        """Launch the study, or go on with it, until every trial has ended or the run is interrupted.

        The first SIGINT or SIGTERM stops cleanly, the second at once.

        Args:
            listener: told of the plan and of what happens, such as a progress display; by default a notebook shows a
                line an event, and anything else nothing.
            retry_failed: run the trials that failed again, under their numbers and from their last checkpoints.

        Raises:
            StudyBusyError: another process runs the study.
            StudyConfigError: settings, data or search space are wrong.
            StudyMismatchError: the directory belongs to other data, settings or another format version.
            EngineError: Ray does not start or died.
        """
        listener, stop = Guarded(listener or usual_listener()), StopFlag()
        signals = StopSignals(stop, listener)
        with study_lock(self.directory), signals.handled(), contextlib.closing(listener), ExitStack() as started:
            config, task, space = self._prepare(signals, started)
            usual = task.baselines(config.search.baselines)
            if config.retrain:
                usual = given_trials(config.retrain)
            changed = open_directory(self.directory, config, task.describe())
            note_moves(self.directory, changed)
            task.keep(self.directory)
            note_killed(self.directory)
            journal = open_journal_exclusively(self.directory)
            if retry_failed:
                for entry in journal.trials():
                    if entry.state == "failed":
                        journal.run_again(entry.number)
            entries = journal.trials()
            drawing = Drawing.open(config.search, space, journal)
            plan = make_plan(config, self.directory, task.plan(), space, usual, entries)
            listener.planned(plan.with_notes(task.notes(config, space) + self._differences(config, changed)))
            rules = StopRules(config, self.directory, entries, stop, listener)
            with contextlib.closing(make_tracking(config, self.directory)) as tracking:
                heard = Listeners(listener, tracking, rules, StuckDice(listener))
                run = StudyRun(config, self.directory, journal, task, drawing, usual, changed, stop, heard)
                if run.has_work():
                    rules.check()
                if run.has_work() and not stop.is_set:
                    with ray_running(config.resources, worker_modules(config)), signals.handled():
                        run.attempt_until_done()
            interrupted = stop.is_set and not stop.reason
            if config.retrain and not interrupted:
                score_held_out(self.directory, config, journal, task)
            return StudyResult(self.directory.root, journal.trials(), interrupted, stop.reason)

    def finalists(
        self, top: int = 3, seeds: int = 5, listener: Listener | None = None, *, tta: bool = False
    ) -> StudyResult:
        """Train the best settings and the best baseline again with new seeds, then score them on the test split.

        They are chosen once; called again, this goes on where it was left. Each is scored once, with the checkpoint
        that was best on validation; `segtune report` then compares them.

        Args:
            top: best settings of the search.
            seeds: that each is trained with.
            listener: told of the plan and of what happens.
            tta: score the test split over mirrored images.

        Raises:
            StudyConfigError: there is no test split, nothing to choose from, others were chosen before, or there is no
                axis to mirror.
            StudyBusyError: another process runs the study or its finalists.
        """
        again = Study(finalists_config(self.directory, top, seeds, tta=tta), self.directory.finalists.root)
        return again.run(listener)

    def results(self) -> "pd.DataFrame":
        """The trials so far, while the study runs and after.

        Returns:
            A row a trial, baselines first, with `number` (baselines count down from -1), `baseline` (name, or None),
            `state`, `cause`, `best_dice`, `best_epoch`, `epochs`, `checkpoint` (path of the best that is still there)
            and `params` (settings by dotted path, a dict).

        Raises:
            StudyNotFoundError: the study was not run yet.
        """
        return results_table(self.directory)

    def best(self) -> BestTrial | None:
        """The drawn trial with the best validation Dice; None while no trial has one. Raises as `results` does."""
        return best_trial(self.directory)

    def _repr_html_(self) -> str:
        """What a notebook shows: name, place, and the best trials."""
        title = f"<b>{escape(self.config.name)}</b> in {escape(str(self.directory.root))}"
        if not self.directory.exists():
            return f"<p>{title}: not run yet</p>"
        return trials_html(self.directory, title)

    def __repr__(self) -> str:
        return f"Study({self.config.name!r} in {str(self.directory.root)!r})"

    def _prepare(self, signals: StopSignals, started: ExitStack) -> tuple[StudyConfig, Task, Space]:
        """Read the data and try what a trial builds; Ray, which a new study is sure to need, starts meanwhile.

        The other thread is not Ray's, since Ray's processes end with the thread that started them. What a glance at
        the files shows is told before, as Ray takes seconds to start and to end.
        """
        if self.directory.exists():
            return self._within_budget(self._check())
        look_first(self.config.data)
        with ThreadPoolExecutor(1, "check-study") as other:
            checked = other.submit(self._check)
            started.enter_context(ray_running(self.config.resources, worker_modules(self.config)))
            started.enter_context(signals.handled())
            return self._within_budget(checked.result())

    def _check(self) -> tuple[StudyConfig, Task, Space]:
        config, task = self.resolved(), open_task(self.config, self.directory.root)
        return config, task, task.check(config)

    def _within_budget(self, checked: tuple[StudyConfig, Task, Space]) -> tuple[StudyConfig, Task, Space]:
        """With what a budget of time decides; Ray has started by now, which would make the measured epoch longer."""
        config, task, _ = checked
        decided = within_budget(config, self.directory, task, spent=lambda: time.monotonic() - self._made)
        return checked if decided is config else (decided, task, task.check(decided))

    def _differences(self, config: StudyConfig, changed: dict[str, Any]) -> list[str]:
        """What is not as it was: settings of the study, libraries and code of the last attempt."""
        drift = describe_drift(last_start(self.directory), versions(), hash_code(config))
        settings = [f"changed   {path} is {value}" for path, value in changed.items()]
        return settings + [f"drift     {line}" for line in drift]

    def resolved(self) -> StudyConfig:
        """The settings with the precision that `auto` became when the study was made, or becomes now."""
        if self.config.script is not None:
            return self.config
        if self.config.training.precision == "auto" and self.directory.exists():
            recorded = self.directory.read()["settings"]["training"]["precision"]
            return self.config.with_overrides({"training.precision": recorded})
        return resolve_precision(self.config)


def _load(config: StudyConfig | dict[str, Any] | Path | str) -> StudyConfig:
    if isinstance(config, StudyConfig):
        return config
    if not isinstance(config, dict):
        return read_study_file(Path(config)).load()
    file = StudyFile(deepcopy(config), "settings")
    resolve_paths(file, file.settings, Path.cwd())
    return file.load()
