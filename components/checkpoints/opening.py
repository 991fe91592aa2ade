"""The store that a place names, and loading from it."""

import re
from pathlib import Path

from components.checkpoints.catalog import Catalog
from components.checkpoints.foreign import restore_foreign
from components.checkpoints.format import TrainingState, restore_checkpoint
from components.checkpoints.local_store import LocalStore
from components.checkpoints.record import CheckpointRecord
from components.checkpoints.remote_store import RemoteStore
from components.checkpoints.store import Store
from components.errors import CheckpointDamagedError, CheckpointNotFoundError, InvalidInputError

_LOST_SLASH = re.compile(r"[a-z][a-z0-9+.-]+:/")


def is_remote(place: str | Path) -> bool:
    """Whether it is a URL.

    Raises:
        InvalidInputError: it was one before it became a path.
    """
    if isinstance(place, Path) and _LOST_SLASH.match(str(place)):
        raise InvalidInputError(f"{place}: a path cannot hold a URL. Hint: give it as a string.")
    return "://" in str(place)


def open_store(place: str | Path) -> Store:
    """A directory, or with a URL such as `s3://bucket/run` an object store."""
    return RemoteStore(str(place)) if is_remote(place) else LocalStore(Path(place))


class Loader:
    """Fills a training's parts from the checkpoint that is asked for.

    Args:
        store: where the checkpoints are.
        catalog: which of them is meant.
    """

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store, self._catalog = store, catalog

    def restore(self, which: str | int | Path, state: TrainingState) -> CheckpointRecord:
        """Best and latest fall back to the next that is whole; one that was asked for by epoch or place does not.

        Raises:
            CheckpointNotFoundError: none answers.
            CheckpointDamagedError: the one asked for is damaged.
            CheckpointError: it lacks a part that is asked for, or cannot be read now.
        """
        if isinstance(which, int):
            return self._read(self._catalog.of_epoch(which), state)
        if which not in ("best", "latest"):
            return self._restore_from(which, state)
        find = self._catalog.best if which == "best" else self._catalog.latest
        while (record := find()) is not None:
            try:
                return self._read(record, state)
            except (CheckpointDamagedError, CheckpointNotFoundError) as error:
                self._store.set_aside(record, error)
        raise CheckpointNotFoundError(f"there is no valid {which} checkpoint. Hint: {self._catalog.hint()}")

    def _restore_from(self, place: str | Path, state: TrainingState) -> CheckpointRecord:
        record = self._catalog.at(place)
        if record is not None:
            return self._read(record, state)
        path = Path(place)
        return restore_foreign(path, state) if path.is_file() else restore_checkpoint(path, state)

    def _read(self, record: CheckpointRecord, state: TrainingState) -> CheckpointRecord:
        with self._store.reading(record) as directory:
            return restore_checkpoint(directory, state)
