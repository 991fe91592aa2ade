"""A store that tells somebody else, such as a site's database, what it holds."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from components.checkpoints.record import CheckpointRecord
from components.checkpoints.store import Store, Write
from components.errors import CheckpointError

_logger = logging.getLogger(__name__)


class Recorder(Protocol):
    """Hears of checkpoints; with saves in the background, from another thread.

    What it raises is logged and costs no checkpoint: the store is the truth, and a recorder that was away compares
    with `list_checkpoints`.
    """

    def committed(self, record: CheckpointRecord) -> None:
        """A checkpoint is durable."""

    def removed(self, record: CheckpointRecord) -> None:
        """A checkpoint is no more: pruned, or set aside since it is damaged."""


class RecordedStore:
    """Any store, with a recorder that is told of each commit and removal.

    Args:
        store: that holds the checkpoints.
        recorder: that is told.
    """

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store, self._recorder = store, recorder

    def save(self, name: str, write: Write) -> CheckpointRecord:
        """Save, then tell."""
        record = self._store.save(name, write)
        try:
            self._recorder.committed(record)
        except Exception:
            _logger.exception("the recorder could not be told that %s is saved", record.path)
        return record

    def records(self) -> list[CheckpointRecord]:
        """The checkpoints, oldest epoch first."""
        return self._store.records()

    def reading(self, record: CheckpointRecord) -> AbstractContextManager[Path]:
        """A local directory with the checkpoint's files, which stays as long as it is read."""
        return self._store.reading(record)

    def remove(self, record: CheckpointRecord) -> None:
        """Remove, then tell, unless it stays for now."""
        self._store.remove(record)
        if all(kept.path != record.path for kept in self._store.records()):
            self._tell_removed(record)

    def set_aside(self, record: CheckpointRecord, error: CheckpointError) -> None:
        """Set a damaged one aside, then tell."""
        self._store.set_aside(record, error)
        self._tell_removed(record)

    def pin(self, record: CheckpointRecord, *, pinned: bool) -> None:
        """Mark a checkpoint as one that is never removed, or take the mark away."""
        self._store.pin(record, pinned=pinned)

    def is_pinned(self, record: CheckpointRecord) -> bool:
        """Whether it is marked so."""
        return self._store.is_pinned(record)

    def close(self) -> None:
        """Let go of locks and temporary files."""
        self._store.close()

    def _tell_removed(self, record: CheckpointRecord) -> None:
        try:
            self._recorder.removed(record)
        except Exception:
            _logger.exception("the recorder could not be told that %s is removed", record.path)
