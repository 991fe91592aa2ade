"""Checkpoints in a local directory, with the full durable protocol."""

import errno
import itertools
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from components.checkpoints.files import FULL, remove_folder, replace_file, sync_folder
from components.checkpoints.record import FILES, MANIFEST, CheckpointRecord, read_record, verify_checkpoint
from components.checkpoints.sharing import Presence, clear_dead_users, is_alive, lease, remove_unless_leased
from components.checkpoints.store import Write
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError, DiskFullError

_logger = logging.getLogger(__name__)
HIDDEN = "."  # begins the names of what is no checkpoint yet, or no longer
_TEMPORARY, _TRASH, _DAMAGED = ".tmp-", ".trash-", ".damaged-"
_PINNED = ".pinned"
INDEX = "index.json"


class LocalStore:
    """Checkpoints in a local directory; once `save` has returned, the checkpoint survives a kill and a power cut.

    A save fills a temporary folder beside the target, has every file and the folder on the disk, renames it to a name
    never used before, and has the parent on the disk; then the index is replaced. Opening removes what a kill left
    half done, and rebuilds the index from the manifests; folders that are no checkpoints are left alone.

    Several processes may work on one directory: each sees what the others save, nobody clears up what another is
    writing, and what is being read is not removed.

    Args:
        root: directory; made when absent.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        self._root.mkdir(parents=True, exist_ok=True)
        self._presence = Presence(self._root)
        self._known: dict[Path, CheckpointRecord] = {}
        self._left_alone: set[Path] = set()
        self._clean()
        self._look(verify_checkpoint)
        self._try_index()

    def save(self, name: str, write: Write) -> CheckpointRecord:
        """Write a checkpoint durably; on a full disk, leftovers are removed and the write is tried once more.

        Raises:
            DiskFullError: it does not fit; the earlier checkpoints are untouched.
            CheckpointError: it cannot be written for another reason; they are untouched as well.
        """
        try:
            record = self._write(name, write)
        except CheckpointError:
            self._clean()
            raise
        except OSError as error:
            self._clean()
            if error.errno not in FULL:
                raise CheckpointError(f"{self._root / name}: cannot be written: {error}") from error
            record = self._retry(name, write)
        self._known[record.path] = record
        self._try_index()
        return record

    def records(self) -> list[CheckpointRecord]:
        """The checkpoints, oldest epoch first; also what another process has saved or removed meanwhile."""
        try:
            if self._root.is_dir():
                self._look(lambda path: read_record(path)[0])
        except OSError as error:
            _logger.warning("%s cannot be looked at, only what is known counts: %s", self._root, error)
        return sorted(self._known.values(), key=lambda record: (record.epoch, record.created))

    @contextmanager
    def reading(self, record: CheckpointRecord) -> Iterator[Path]:
        """The checkpoint's directory, which nobody removes meanwhile.

        Raises:
            CheckpointNotFoundError: it is no longer there.
        """
        with lease(record.path):
            yield record.path

    def remove(self, record: CheckpointRecord) -> None:
        """Rename the checkpoint away, then delete it: at no moment is it half there. If it can't be, it stays."""
        try:
            trash = self._trash(record.path)
            if not remove_unless_leased(record.path, lambda path: path.rename(trash)):
                return
        except FileNotFoundError:
            pass  # another process was faster
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
        self._rename_damaged(record.path, error)
        self._forget(record)

    def pin(self, record: CheckpointRecord, *, pinned: bool) -> None:
        """Mark a checkpoint as one that is never removed, or take the mark away."""
        mark = record.path / _PINNED
        mark.touch() if pinned else mark.unlink(missing_ok=True)
        sync_folder(record.path)

    def is_pinned(self, record: CheckpointRecord) -> bool:
        """Whether it is marked so; where that cannot be seen, it is taken to be."""
        try:
            return (record.path / _PINNED).exists()
        except OSError as error:
            _logger.warning("%s cannot be looked at and stays: %s", record.path, error)
            return True

    def close(self) -> None:
        """Be no user of the directory any more, until the next save."""
        self._presence.leave()

    def _write(self, name: str, write: Write) -> CheckpointRecord:
        self._require_root()
        temporary = self._root / f"{_TEMPORARY}{self._presence.announce()}-{name}"
        self._check_space()
        try:
            record = write(temporary)
            target = self._rename_to_unused(temporary, name)
        finally:
            remove_folder(temporary)
        try:
            sync_folder(self._root)
        except OSError:
            with suppress(OSError):  # a save that fails must not turn up as a checkpoint at the next start
                remove_folder(target.rename(self._trash(target)))
            raise
        return replace(record, path=target)  # not read anew: another process may have pruned it already

    def _trash(self, path: Path) -> Path:
        return path.with_name(f"{_TRASH}{self._presence.announce()}-{path.name}")

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise CheckpointError(f"{self._root}: is no longer there. Hint: was it moved or removed during training?")

    def _rename_to_unused(self, temporary: Path, name: str) -> Path:
        """A rename never replaces a checkpoint, which is a directory that is not empty: whoever comes first has it."""
        for count in itertools.count(1):
            target = self._root / (name if count == 1 else f"{name}_{count}")
            if target.with_name(_DAMAGED + target.name).exists():
                continue
            try:
                return temporary.rename(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        raise AssertionError  # counting does not end

    def _check_space(self) -> None:
        """Refuse before anything is written when not even the largest checkpoint so far would fit."""
        needed = max((record.bytes for record in self._known.values()), default=0)
        free = shutil.disk_usage(self._root).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {free} bytes free, about {needed} needed")

    def _retry(self, name: str, write: Write) -> CheckpointRecord:
        try:
            return self._write(name, write)
        except OSError as error:
            self._clean()
            kind = DiskFullError if error.errno in FULL else CheckpointError
            raise kind(
                f"{self._root / name}: cannot be written, also after removing leftovers: {error}. "
                "Hint: free some space; the earlier checkpoints are untouched."
            ) from error

    def _clean(self) -> None:
        """Remove what this process, or one that was killed, has left half done; what cannot be removed now waits."""
        with suppress(OSError):
            own = [
                path for prefix in (_TEMPORARY, _TRASH) for path in self._root.glob(f"{prefix}{self._presence.name}-*")
            ]
            for path in (*own, *leftovers(self._root)):
                remove_folder(path) if path.is_dir() else path.unlink(missing_ok=True)
            clear_dead_users(self._root)

    def _look(self, read: Callable[[Path], CheckpointRecord]) -> None:
        """Take up what has come since the last look, and forget what has gone."""
        shown = [path for path in self._root.iterdir() if not path.name.startswith(HIDDEN)]
        present = {path for path in shown if path in self._known or is_checkpoint(path)}
        self._known = {path: record for path, record in self._known.items() if path in present}
        for path in sorted(present - self._known.keys()):
            try:
                self._known[path] = read(path)
            except (CheckpointDamagedError, CheckpointNotFoundError) as error:
                if path.exists():  # or else another process has removed it since
                    self._rename_damaged(path, error)
            except CheckpointError as error:
                if path not in self._left_alone:
                    _logger.warning("%s does not count and is left alone: %s", path, error)
                self._left_alone.add(path)

    def _rename_damaged(self, path: Path, error: CheckpointError) -> None:
        aside = path.with_name(_DAMAGED + path.name)
        try:
            path.rename(aside)
        except OSError as reason:
            _logger.warning("%s is damaged (%s), does not count, and could not be set aside: %s", path, error, reason)
            return
        _logger.warning("set aside a damaged checkpoint as %s: %s", aside, error)

    def _forget(self, record: CheckpointRecord) -> None:
        self._known.pop(record.path, None)
        self._try_index()

    def _try_index(self) -> None:
        """Write the index; it can be rebuilt, so that a failure costs nothing but a warning."""
        try:
            self._write_index()
        except OSError as error:
            _logger.warning("the index of %s could not be written: %s", self._root, error)

    def _write_index(self) -> None:
        known = sorted(self._known.values(), key=lambda record: (record.epoch, record.created))
        index = [{"path": r.path.name, "epoch": r.epoch, "sha256": r.manifest_sha256} for r in known]
        temporary = self._root / f"{_TEMPORARY}{self._presence.announce()}-{INDEX}"
        replace_file(self._root / INDEX, (json.dumps(index, indent=1) + "\n").encode(), temporary=temporary)


def leftovers(root: Path) -> list[Path]:
    """What a kill left half written or half removed; not what a process that is alive is at work on."""
    found = []
    for path in sorted(root.iterdir()):
        prefix = next((prefix for prefix in (_TEMPORARY, _TRASH) if path.name.startswith(prefix)), None)
        if prefix is not None and not is_alive(root, path.name.removeprefix(prefix).partition("-")[0]):
            found.append(path)
    return found


def is_checkpoint(path: Path) -> bool:
    """Whether a folder was one: two of its files are there, so that one may be lost and others' folders don't count."""
    return sum((path / name).exists() for name in (*FILES, MANIFEST)) > 1
