"""One real trial of a whole and a last batch, killed in the middle and restored, before hours are spent."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from components.data import SegmentationData, Split
from tuning.building import resolve_precision
from tuning.config import StudyConfig
from tuning.drawing import Drawing
from tuning.engine import StopFlag, ray_running
from tuning.errors import RehearsalError
from tuning.forks import worker_modules
from tuning.identity import open_directory
from tuning.listener import Listener
from tuning.network_task import NetworkTask
from tuning.record import StudyDirectory
from tuning.record.journal import open_journal_exclusively
from tuning.run import StudyRun
from tuning.stuck import stuck_at, stuck_text
from tuning.task import Task
from tuning.tasks import open_task

_VAL_CASES, _EPOCHS, _KILLED_AFTER = 2, 3, 2
_LOG_LINES = 20
_T = TypeVar("_T")
_SETTINGS: dict[str, Any] = {
    "data.folds": None,
    "training.epochs": _EPOCHS,
    "training.warmup": 0,
    "training.patience": None,
    "training.max_minutes": None,
    "checkpoint.strategy": "epoch",
    "checkpoint.max_gib": None,
    "search.trials": 1,
    "search.try_first": [],
    "search.warm_start": [],
    "search.baselines": False,
    "scheduler.type": "none",
    "stop": {},
    "resources.concurrent": 1,
    "resources.retries": 1,
    "storage.url": None,
}


def rehearse(config: StudyConfig, say: Callable[[str], None]) -> None:
    """Check a study, train one trial on two batches (or as its script does), kill its worker, and see it go on.

    Nothing stays of it. The settings are the study's own, except how long it trains and that each epoch is saved.

    Args:
        config: of the study.
        say: told of each step once it has succeeded.

    Raises:
        StudyConfigError: settings, data or search space are wrong.
        EngineError: Ray does not start.
        RehearsalError: the trial failed or was not restored; says why, with the end of its log.
    """
    with TemporaryDirectory() as folder:
        directory, killer = StudyDirectory(Path(folder) / "study"), _Killer()
        task = open_task(config, directory.root)
        space = task.check(config)
        notes = task.notes(config, space)
        say(f"settings  in order; {_seen(task)}")
        for note in notes:
            say(note)
        if isinstance(task, NetworkTask):
            task = NetworkTask((cut_data(task.folds[0], config.training.batch),))
            small, trained = resolve_precision(config).with_overrides(_SETTINGS), _batches(task, config.training.batch)
        else:
            small, trained = config.with_overrides(_SETTINGS), "as the script does"
        changed = open_directory(directory, small, task.describe())
        journal = open_journal_exclusively(directory)
        with ray_running(small.resources, worker_modules(small)):
            StudyRun(
                small,
                directory,
                journal,
                task,
                Drawing.open(small.search, space, journal),
                (),
                changed,
                StopFlag(),
                killer,
            ).attempt_until_done()
        entry, trial = journal.entry(0), directory.trial(0)
        if entry.state != "complete":
            raise RehearsalError(f"the trial failed ({entry.failure}): {entry.cause}\n{trial.log_tail(_LOG_LINES)}")
        stuck = stuck_at(entry)
        if stuck:  # a Dice of 0 after so few steps says nothing
            say(f"warning   the trial {stuck_text(stuck, len(entry.dice))}")
        rows, saved = trial.epochs(), trial.checkpoints()
        say(f"trained   {trained}, {rows[1]['seconds']:.3g} s the first epoch")
        say(f"saved     each epoch, {saved[0]['bytes'] / 2**20:.2f} MiB")
        again = killer.after_kill(_KILLED_AFTER)
        if entry.deaths != 1 or again is None or again == 1:
            raise RehearsalError(f"the trial did not go on from its checkpoint.\n{trial.log_tail(_LOG_LINES)}")
        say(f"restored  its worker was killed after epoch {_KILLED_AFTER}, and it went on with epoch {again}")


def _seen(task: Task) -> str:
    if not isinstance(task, NetworkTask):
        return str(task.describe()["name"])
    data = task.folds[0]
    return f"{len(data.train)} train and {len(data.val)} val cases of {data.name}"


def _batches(task: NetworkTask, batch: int) -> str:
    cases = len(task.folds[0].train)
    if cases <= batch:
        return f"{cases} cases in the one batch of an epoch"
    return f"{cases} cases, of a whole batch and of the last one of an epoch"


def cut_data(data: SegmentationData, batch: int) -> SegmentationData:
    """The cases of a whole batch and of the last one of an epoch, and two for validation.

    Of each split one that shows foreground comes first.
    """
    last = len(data.train) % batch or batch  # as many cases as the last batch of a whole epoch has
    train, val = (_cut(split, size) for split, size in ((data.train, batch + last), (data.val, _VAL_CASES)))
    return replace(data, train=train, val=val)


def _cut(split: Split, size: int) -> Split:
    shown = max(range(len(split)), key=lambda index: bool((split.masks[index] > 0).any()))
    chosen = [shown, *(index for index in range(len(split)) if index != shown)][:size]
    return Split(
        images=_take(split.images, chosen),
        masks=_take(split.masks, chosen),
        cases=_take(split.cases, chosen),
        groups=_take(split.groups, chosen),
        stored_digests=_take(split.stored_digests, chosen),
        spacings=_take(split.spacings, chosen),
    )


def _take(entries: Sequence[_T], chosen: list[int]) -> tuple[_T, ...]:
    """Those entries, or none where the split has none."""
    return tuple(entries[index] for index in chosen) if entries else ()


class _Killer(Listener):
    """Kills the trial's worker once, and notes the epochs that it hears of."""

    def __init__(self) -> None:
        self._epochs: list[int] = []
        self._killed = False

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """Note the epoch."""
        self._epochs.append(row["epoch"])

    def worker_reported(self, number: int, pid: int) -> None:
        """Kill the worker while it waits for its report to be taken."""
        if len(self._epochs) == _KILLED_AFTER and not self._killed:
            self._killed = True
            os.kill(pid, signal.SIGKILL)

    def after_kill(self, epochs: int) -> int | None:
        """The first epoch that was heard of after so many."""
        return self._epochs[epochs] if len(self._epochs) > epochs else None
