"""Stores: a local directory with the full durable protocol, and the protocol that other stores follow."""

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from components.checkpoints.files import remove_folder, replace_file, sync_folder
from components.checkpoints.record import FILES, MANIFEST, CheckpointRecord, read_record, verify_checkpoint
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError

_logger = logging.getLogger(__name__)
HIDDEN = "."  # begins the names of what is no checkpoint yet, or no longer
_TEMPORARY, _TRASH, _DAMAGED = ".tmp-", ".trash-", ".damaged-"
INDEX = "index.json"

Write = Callable[[Path], CheckpointRecord]


class Store(Protocol):
    """Where checkpoints are kept."""

    def save(self, name: str, write: Write) -> CheckpointRecord:
        """Have `write` fill a new directory and make it a checkpoint."""

    def records(self) -> list[CheckpointRecord]:
        """The checkpoints, oldest epoch first."""

    def remove(self, record: CheckpointRecord) -> None:
        """Give a checkpoint up."""

    def set_aside(self, record: CheckpointRecord, error: CheckpointError) -> None:
        """Put a damaged checkpoint where it does not count."""


class LocalStore:
    """Checkpoints in a local directory; once `save` has returned, the checkpoint survives a kill and a power cut.

    A save fills a temporary folder beside the target, has every file and the folder on the disk, renames it to a name
    never used before, and has the parent on the disk; then the index is replaced. Opening removes what a kill left
    half done, and rebuilds the index from the manifests; folders that are no checkpoints are left alone.

    Args:
        root: directory; made when absent.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        self._root.mkdir(parents=True, exist_ok=True)
        self._clean()
        self._records = self._read_all()
        self._try_index()

    def save(self, name: str, write: Write) -> CheckpointRecord:
        """Write a checkpoint durably; on a full disk, leftovers are removed and the write is tried once more.

        Raises:
            CheckpointError: it cannot be written; the earlier checkpoints are untouched.
        """
        try:
            record = self._write(name, write)
        except CheckpointError:
            self._clean()
            raise
        except OSError as error:
            self._clean()
            if error.errno != errno.ENOSPC:
                raise CheckpointError(f"{self._root / name}: cannot be written: {error}") from error
            record = self._retry(name, write)
        self._records = sorted([*self._records, record], key=lambda known: (known.epoch, known.created))
        self._try_index()
        return record

    def records(self) -> list[CheckpointRecord]:
        """The checkpoints, oldest epoch first."""
        return list(self._records)

    def remove(self, record: CheckpointRecord) -> None:
        """Rename the checkpoint away, then delete it: at no moment is it half there. If it can't be, it stays."""
        try:
            trash = _rename_to_trash(record.path)
        except OSError as error:
            _logger.warning("%s could not be removed and stays: %s", record.path, error)
            return
        self._forget(record)
        remove_folder(trash)

    def set_aside(self, record: CheckpointRecord, error: CheckpointError) -> None:
        """Rename a damaged checkpoint so that it no longer counts; its files stay for inspection.

        Raises:
            CheckpointError: the whole directory is gone, so that the checkpoint may be well in another place.
        """
        self._require_root()
        self._forget(record)
        self._rename_damaged(record.path, error)

    def _write(self, name: str, write: Write) -> CheckpointRecord:
        self._require_root()
        name = self._unused(name)
        temporary, target = self._root / (_TEMPORARY + name), self._root / name
        self._check_space()
        try:
            write(temporary)
            temporary.rename(target)
        finally:
            remove_folder(temporary)
        try:
            sync_folder(self._root)
            return read_record(target)[0]
        except OSError:
            with suppress(OSError):  # a save that fails must not turn up as a checkpoint at the next start
                remove_folder(_rename_to_trash(target))
            raise

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise CheckpointError(f"{self._root}: is no longer there. Hint: was it moved or removed during training?")

    def _check_space(self) -> None:
        """Refuse before anything is written when not even the largest checkpoint so far would fit."""
        needed = max((record.bytes for record in self._records), default=0)
        free = shutil.disk_usage(self._root).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {free} bytes free, about {needed} needed")

    def _retry(self, name: str, write: Write) -> CheckpointRecord:
        try:
            return self._write(name, write)
        except OSError as error:
            self._clean()
            raise CheckpointError(
                f"{self._root / name}: cannot be written, also after removing leftovers: {error}. "
                "Hint: free some space; the earlier checkpoints are untouched."
            ) from error

    def _unused(self, name: str) -> str:
        taken = {path.name.removeprefix(_DAMAGED) for path in self._root.iterdir()}
        candidates = (name if count == 1 else f"{name}_{count}" for count in range(1, len(taken) + 2))
        return next(candidate for candidate in candidates if candidate not in taken)

    def _clean(self) -> None:
        """Remove what was left half done; what cannot be removed now waits for the next time."""
        with suppress(OSError):
            for path in self._root.iterdir():
                if path.name.startswith((_TEMPORARY, _TRASH)):
                    remove_folder(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _read_all(self) -> list[CheckpointRecord]:
        records = []
        for path in sorted(self._root.iterdir()):
            if path.name.startswith(HIDDEN) or not is_checkpoint(path):
                continue
            try:
                records.append(verify_checkpoint(path))
            except (CheckpointDamagedError, CheckpointNotFoundError) as error:
                self._rename_damaged(path, error)
            except CheckpointError as error:
                _logger.warning("%s does not count and is left alone: %s", path, error)
        return sorted(records, key=lambda record: (record.epoch, record.created))

    def _rename_damaged(self, path: Path, error: CheckpointError) -> None:
        aside = path.with_name(_DAMAGED + path.name)
        try:
            path.rename(aside)
        except OSError as reason:
            _logger.warning("%s is damaged (%s), does not count, and could not be set aside: %s", path, error, reason)
            return
        _logger.warning("set aside a damaged checkpoint as %s: %s", aside, error)

    def _forget(self, record: CheckpointRecord) -> None:
        self._records = [known for known in self._records if known.path != record.path]
        self._try_index()

    def _try_index(self) -> None:
        """Write the index; it can be rebuilt, so that a failure costs nothing but a warning."""
        try:
            self._write_index()
        except OSError as error:
            _logger.warning("the index of %s could not be written: %s", self._root, error)

    def _write_index(self) -> None:
        index = [{"path": r.path.name, "epoch": r.epoch, "sha256": r.manifest_sha256} for r in self._records]
        replace_file(self._root / INDEX, (json.dumps(index, indent=1) + "\n").encode())


def _rename_to_trash(path: Path) -> Path:
    trash = path.with_name(_TRASH + path.name)
    path.rename(trash)
    return trash


def is_checkpoint(path: Path) -> bool:
    """Whether a folder was one: two of its files are there, so that one may be lost and others' folders don't count."""
    return sum((path / name).exists() for name in (*FILES, MANIFEST)) > 1
