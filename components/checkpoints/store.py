"""What a place for checkpoints can do, whether it is a directory or an object store."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from components.checkpoints.record import CheckpointRecord
from components.errors import CheckpointError

Write = Callable[[Path], CheckpointRecord]


class Store(Protocol):
    """Where checkpoints are kept."""

    def save(self, name: str, write: Write) -> CheckpointRecord:
        """Have `write` fill a new directory and make it a checkpoint."""

    def records(self) -> list[CheckpointRecord]:
        """The checkpoints, oldest epoch first."""

    def reading(self, record: CheckpointRecord) -> AbstractContextManager[Path]:
        """A local directory with the checkpoint's files, which stays as long as it is read."""

    def remove(self, record: CheckpointRecord) -> None:
        """Give a checkpoint up, unless somebody reads it."""

    def set_aside(self, record: CheckpointRecord, error: CheckpointError) -> None:
        """Put a damaged checkpoint where it does not count."""

    def pin(self, record: CheckpointRecord, *, pinned: bool) -> None:
        """Mark a checkpoint as one that is never removed, or take the mark away."""

    def is_pinned(self, record: CheckpointRecord) -> bool:
        """Whether it is marked so."""

    def close(self) -> None:
        """Let go of locks and temporary files; the store can be used again."""
