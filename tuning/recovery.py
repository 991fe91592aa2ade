"""Puts a study back on its feet after a kill: what was recorded stays, what was half done is undone or finished."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.checkpoints import CheckpointRecord, TrainingState, restore_checkpoint, verify_checkpoint
from components.errors import CheckpointError
from tuning.fold import CASES
from tuning.objective import OBJECTIVE, dice_of_weights
from tuning.outcome import Judge, tell_end
from tuning.record import (
    Journal,
    StudyDirectory,
    TrialDirectory,
    TrialEntry,
    append_line,
    checkpoint_folders,
    cut_torn_tail,
    read_index,
)
from tuning.record.layout import drop_epochs_after
from tuning.retention import prune, remove_leftover
from tuning.scheduler import StudyScheduler
from tuning.store import remove_staging_folders
from tuning.upkeep import set_aside

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unfinished:
    """A trial to go on with.

    Attributes:
        number: of the trial.
        overrides: its settings; empty when they have still to be drawn.
        checkpoints: its checkpoints in the index; the last one is where it goes on, none means from the start.
        start: what it changes in the last one where that is another trial's; see `Populations`.
    """

    number: int
    overrides: dict[str, Any]
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, float] | None = None


def recover(
    directory: StudyDirectory, journal: Journal, scheduler: StudyScheduler, judge: Judge, *, keep: int | None
) -> list[Unfinished]:
    """Rebuild the scheduler's rungs and find the trials to go on with.

    Trials whose end was decided are replayed into the scheduler first, in order. Of each unfinished
    trial, a checkpoint that was persisted but not yet indexed is taken up, one that does not verify is set aside,
    epochs after the last checkpoint are forgotten, and an end that was decided but not yet told is told.

    Args:
        directory: study directory; the caller holds its lock.
        journal: opened for writing.
        scheduler: fresh; knows every earlier decision afterwards.
        judge: measures objectives and constraints of an end that is told.
        keep: best checkpoints kept a trial.

    Returns:
        The unfinished trials, in order.
    """
    remove_staging_folders(str(directory.root))
    unfinished = []
    entries = journal.trials()
    for entry in entries:
        if entry.state != "running" or entry.stop:
            scheduler.replay(entry.number, entry.dice)
    for entry in entries:
        trial = directory.trial(entry.number)
        for refused in read_index(trial)[1]:
            _logger.warning("%s", refused)
        if entry.state == "running":
            _take_up_checkpoints(journal, trial, entry)
        _remove_unindexed(trial)
        prune(trial, keep)
        if entry.state == "running" and (again := _go_on_with(trial, journal, scheduler, judge, entry.number)):
            unfinished.append(again)
    return unfinished


def _go_on_with(
    trial: TrialDirectory, journal: Journal, scheduler: StudyScheduler, judge: Judge, number: int
) -> Unfinished | None:
    """Tell an end that was decided; otherwise forget what is trained again, and say where to go on.

    All epochs of the journal are replayed, also those that are trained again: what the scheduler once decided stays,
    whatever other trials have reported since.
    """
    entry = journal.entry(number)
    if entry.stop:
        tell_end(journal, judge, number)
        return None
    stop = scheduler.replay(number, entry.dice)
    if stop:
        journal.note_stop(number, stop.state, stop.cause)
        tell_end(journal, judge, number)
        return None
    lines = trial.checkpoints()
    drop_epochs_after(trial, lines[-1]["epoch"] if lines else 0)
    return Unfinished(number, entry.overrides, lines)


def _take_up_checkpoints(journal: Journal, trial: TrialDirectory, entry: TrialEntry) -> None:
    """Verify what is there, and add what the index and the rows lack.

    A kill comes between a checkpoint and its row, also of an epoch that is trained again; a power cut takes rows.
    """
    cut_torn_tail(trial.metrics)
    cut_torn_tail(trial.decisions)
    cut_torn_tail(trial.index)
    cut_torn_tail(trial.cases)
    for folder in checkpoint_folders(trial.study_root, trial.path.name):
        path = str(folder.relative_to(trial.study_root))
        try:
            record = verify_checkpoint(folder)
            is_next = record.epoch == max(entry.dice, default=0) + 1
            lacks_row = is_next or (record.epoch in entry.dice and record.epoch not in trial.epochs())
            cases = _cases_of(folder) if lacks_row else []
        except CheckpointError as error:
            _logger.warning("set aside a damaged checkpoint as %s: %s", set_aside(folder), error)
            continue
        if lacks_row:
            append_line(trial.metrics, record.metrics)
            for case in cases:
                append_line(trial.cases, case)
            journal.report(entry.number, record.epoch, record.metrics[OBJECTIVE])
        indexed = {line["epoch"] for line in trial.checkpoints()}
        if record.epoch not in indexed and (lacks_row or record.epoch in entry.dice):
            append_line(trial.index, index_line(path, record))


def _cases_of(checkpoint: Path) -> list[dict[str, Any]]:
    """What each case scored with its weights; none where the epoch was not the best, or before these were kept."""
    state = TrainingState(model=None, rng=False)
    restore_checkpoint(checkpoint, state)
    cases: list[dict[str, Any]] = state.extra.get(CASES, [])
    return cases


def _remove_unindexed(trial: TrialDirectory) -> None:
    """Remove what a worker still wrote after its driver was killed, and what no epoch of the journal belongs to."""
    indexed = {trial.study_root / line["path"] for line in trial.checkpoints()}
    for folder in checkpoint_folders(trial.study_root, trial.path.name):
        if folder not in indexed:
            remove_leftover(folder)


def index_line(path: str, record: CheckpointRecord) -> dict[str, Any]:
    """The index's line for a checkpoint at `path`, relative to the study."""
    return {
        "path": path,
        "epoch": record.epoch,
        "dice": dice_of_weights(record.metrics),
        "sha256": record.manifest_sha256,
        "bytes": record.bytes,
    }
