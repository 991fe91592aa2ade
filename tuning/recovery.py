"""Puts a study back on its feet after a kill: what was recorded stays, what was half done is undone or finished."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.checkpoints import CheckpointRecord, TrainingState, restore_checkpoint, verify_checkpoint
from components.errors import CheckpointError
from components.json_lines import mend_lines
from tuning.fold import CASES
from tuning.objective import OBJECTIVE, dice_of_weights
from tuning.outcome import Judge, tell_end
from tuning.record import (
    Journal,
    SchedulerDecision,
    StudyDirectory,
    TrialDirectory,
    TrialEntry,
    append_line,
    checkpoint_folders,
    in_order_of_arrival,
    mend_decisions,
    note_decision,
    read_index,
    read_scheduler_decisions,
)
from tuning.record.layout import drop_epochs_after, is_epoch_row
from tuning.record.scheduling import STOP
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
    """Restore what the scheduler decided and find the trials to go on with.

    Every result is replayed into the scheduler in the order of its arrival, also those of epochs that are trained
    again: what was decided stays, whatever other trials have reported since, and nothing is decided on them anew. Of
    each unfinished trial, a checkpoint that was persisted but not yet indexed is taken up, one that does not verify is
    set aside, epochs after the last checkpoint are forgotten, and an end that was decided but not yet told is told.
    The scheduler decides on an epoch that comes with such a checkpoint, as it does on any result when it arrives.

    Args:
        directory: study directory; the caller holds its lock.
        journal: opened for writing.
        scheduler: fresh; knows every earlier result afterwards.
        judge: measures objectives and constraints of an end that is told.
        keep: best checkpoints kept a trial.

    Returns:
        The unfinished trials, in order.
    """
    remove_staging_folders(str(directory.root))
    unfinished = []
    mend_decisions(directory.scheduler_log)
    decisions = read_scheduler_decisions(directory.scheduler_log)
    entries = _carry_out(journal, journal.trials(), decisions)
    for result in in_order_of_arrival(entries, decisions):
        scheduler.replay(result.trial, {result.epoch: result.dice})
    for entry in entries:
        trial = directory.trial(entry.number)
        for refused in read_index(trial)[1]:
            _logger.warning("%s", refused)
        if entry.state == "running":
            _take_up_checkpoints(directory, journal, scheduler, entry)
        _remove_unindexed(trial)
        prune(trial, keep)
        if entry.state == "running" and (again := _go_on_with(trial, journal, scheduler, judge, entry.number)):
            unfinished.append(again)
    return unfinished


def _carry_out(journal: Journal, entries: list[TrialEntry], decisions: list[SchedulerDecision]) -> list[TrialEntry]:
    """Finish what a kill cut off: only the last decision can lack its Dice in the journal, or its stop."""
    for decision in decisions[-1:]:
        for place, entry in enumerate(entries):
            if entry.number != decision.trial or entry.state != "running" or entry.stop:
                continue
            if decision.epoch > max(entry.dice, default=0):
                journal.report(decision.trial, decision.epoch, decision.dice)
            if decision.action == STOP:
                journal.note_stop(decision.trial, decision.state, decision.cause)
            entries[place] = journal.entry(decision.trial)
    return entries


def _go_on_with(
    trial: TrialDirectory, journal: Journal, scheduler: StudyScheduler, judge: Judge, number: int
) -> Unfinished | None:
    """Tell an end that was decided; otherwise forget what is trained again, and say where to go on."""
    entry = journal.entry(number)
    if not entry.stop and (stop := scheduler.budget_stop(max(entry.dice, default=0))):
        journal.note_stop(number, stop.state, stop.cause)
        entry = journal.entry(number)
    if entry.stop:
        tell_end(journal, judge, number)
        return None
    lines = trial.checkpoints()
    drop_epochs_after(trial, lines[-1]["epoch"] if lines else 0)
    return Unfinished(number, entry.overrides, lines)


def _take_up_checkpoints(
    directory: StudyDirectory, journal: Journal, scheduler: StudyScheduler, entry: TrialEntry
) -> None:
    """Verify what is there, and add what the index and the rows lack.

    A kill comes between a checkpoint and its row, also of an epoch that is trained again; a power cut takes rows.
    """
    trial = directory.trial(entry.number)
    for file in (trial.metrics, trial.decisions, trial.index, trial.cases):
        mend_lines(file, is_whole=is_epoch_row)
    for folder in checkpoint_folders(trial.study_root, trial.path.name):
        path = str(folder.relative_to(trial.study_root))
        try:
            record = verify_checkpoint(folder)
            is_next = record.epoch == max(entry.dice, default=0) + 1 and not entry.stop
            lacks_row = is_next or (record.epoch in entry.dice and record.epoch not in trial.epochs())
            cases = _cases_of(folder) if lacks_row else []
        except CheckpointError as error:
            _logger.warning("set aside a damaged checkpoint as %s: %s", set_aside(folder), error)
            continue
        if lacks_row:
            append_line(trial.metrics, record.metrics)
            for case in cases:
                append_line(trial.cases, case)
            _report(directory, journal, scheduler, entry.number, record)
        indexed = {line["epoch"] for line in trial.checkpoints()}
        if record.epoch not in indexed and (lacks_row or record.epoch in entry.dice):
            append_line(trial.index, index_line(path, record))


def _report(
    directory: StudyDirectory, journal: Journal, scheduler: StudyScheduler, number: int, record: CheckpointRecord
) -> None:
    """Note the Dice of a checkpoint's epoch; where it is new to the scheduler, this decides on it now."""
    dice = record.metrics[OBJECTIVE]
    decision = scheduler.decide(number, record.epoch, dice)
    if new := scheduler.decisions.pop(number, None):
        note_decision(directory.scheduler_log, new)
    journal.report(number, record.epoch, dice)
    if decision.action == STOP:
        journal.note_stop(number, decision.state, decision.cause)


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
