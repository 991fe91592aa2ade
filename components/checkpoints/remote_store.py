"""Checkpoints in an object store such as S3, or on any other file system that fsspec or pyarrow reaches.

Such stores have no rename and no locks. What makes a checkpoint count is therefore its manifest, the object that is
written last, under a prefix that nobody has used before; what counts no more loses its manifest first.
"""

import json
import logging
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

from components.checkpoints.files import FULL, remove_folder
from components.checkpoints.record import FILES, MANIFEST, CheckpointRecord, read_record, verify_checkpoint
from components.checkpoints.remote_files import RemoteFiles
from components.checkpoints.store import Write
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError, DiskFullError

_logger = logging.getLogger(__name__)
_PINNED, _DAMAGED = ".pinned", ".damaged"  # objects beside the manifest that mark a checkpoint
_SUFFIX_LENGTH = 8
_LEFT_OVER_S = 24 * 3600.0  # no upload of one checkpoint takes so long


class RemoteStore:
    """Checkpoints below a URL; once `save` has returned, the store has acknowledged every object of it.

    Each file is uploaded under a prefix of its own and its size compared, then the manifest, which makes it count. An
    operation that fails is tried again after a pause. Readers ignore what has no manifest; they copy a checkpoint to
    local disk and check its hashes there, so that removing it meanwhile harms nobody who has the copy. Parts of an
    upload that was killed are removed by whoever opens the store a day later.

    Args:
        url: such as `s3://bucket/run`; or a path within `filesystem`.
        filesystem: of fsspec or pyarrow, with whatever credentials it needs; default the one of the URL.
        cache: local directory for what is read; default a temporary one.
        attempts: of each operation.
        pause_s: before the second attempt; doubled before each further one.
        fresh_s: for so long a listing is used again; what other processes save is seen after that.
        clock: seconds; for tests.

    Raises:
        InvalidInputError: there is no such protocol, or its package is not installed.
        CheckpointError: the store does not answer.

    Example:
        >>> manager = CheckpointManager(store=RemoteStore("s3://bucket/run"))  # doctest: +SKIP
    """

    def __init__(
        self,
        url: str,
        filesystem: Any = None,
        *,
        cache: str | Path | None = None,
        attempts: int = 4,
        pause_s: float = 0.5,
        fresh_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = RemoteFiles(url, filesystem, attempts=attempts, pause_s=pause_s)
        self._cache = Path(mkdtemp(prefix="checkpoints-") if cache is None else cache)
        self._cache.mkdir(parents=True, exist_ok=True)
        self._keeps_copies = cache is not None
        if not self._keeps_copies:
            weakref.finalize(self, remove_folder, self._cache)
        self._known: dict[str, CheckpointRecord] = {}
        self._ignored: set[str] = set()
        self._fresh_s, self._clock, self._looked = fresh_s, clock, -float("inf")
        self._look()
        self._clear_leftovers()

    def save(self, name: str, write: Write) -> CheckpointRecord:
        """Write a checkpoint locally, then upload it, the manifest last.

        Raises:
            CheckpointError: it could not be uploaded, or not be written locally; earlier checkpoints are untouched.
        """
        name = f"{name}_{uuid4().hex[:_SUFFIX_LENGTH]}"
        path = self._cache / name
        try:
            record = write(path)
            for file in (*FILES, MANIFEST):
                self._files.upload(path / file, name, file)
        except CheckpointError:
            remove_folder(path)
            self._give_up(name)
            raise
        except OSError as error:
            remove_folder(path)
            kind = DiskFullError if error.errno in FULL else CheckpointError
            raise kind(f"{path}: cannot be written, before it is uploaded: {error}. Hint: free some space.") from error
        self._drop_copy(record)
        self._known[name] = record
        return record

    def records(self) -> list[CheckpointRecord]:
        """The checkpoints, oldest epoch first; each path is the local folder into which it is copied to be read."""
        if self._clock() - self._looked > self._fresh_s:
            try:
                self._look()
            except CheckpointError as error:
                _logger.warning("only what is known counts: %s", error)
        return sorted(self._known.values(), key=lambda record: (record.epoch, record.created))

    @contextmanager
    def reading(self, record: CheckpointRecord) -> Iterator[Path]:
        """A local copy, whose hashes were checked; a copy that is damaged is fetched once more.

        Raises:
            CheckpointNotFoundError: it is no longer there.
            CheckpointDamagedError: what is there is damaged.
            CheckpointError: the store does not answer.
        """
        name = record.path.name
        with suppress(CheckpointError):
            verify_checkpoint(record.path)
            yield record.path
            return
        try:
            self._fetch_whole(name)
        except CheckpointDamagedError:
            self._fetch_whole(name)
        yield record.path

    def remove(self, record: CheckpointRecord) -> None:
        """Remove the manifest, so that it no longer counts, then the rest; what cannot be removed stays."""
        try:
            self._remove(record.path.name)
        except CheckpointError as error:
            _logger.warning("%s could not be removed: %s", self._files.place(record.path.name), error)

    def set_aside(self, record: CheckpointRecord, error: CheckpointError) -> None:
        """Mark a damaged checkpoint, so that it no longer counts; its objects stay for inspection.

        Raises:
            CheckpointError: the store does not answer.
        """
        self._known.pop(record.path.name, None)
        if not isinstance(error, CheckpointNotFoundError):
            self._mark_damaged(record.path.name, error)

    def pin(self, record: CheckpointRecord, *, pinned: bool) -> None:
        """Mark a checkpoint as one that is never removed, or take the mark away."""
        name = record.path.name
        self._files.put(b"", name, _PINNED) if pinned else self._files.remove(name, _PINNED)

    def is_pinned(self, record: CheckpointRecord) -> bool:
        """Whether it is marked so; where that cannot be seen, it is taken to be."""
        try:
            return _PINNED in self._files.names(record.path.name)
        except CheckpointError as error:
            _logger.warning("%s stays: %s", record.path.name, error)
            return True

    def close(self) -> None:
        """Remove the local copies, unless a directory was given for them."""
        if not self._keeps_copies:
            for record in self._known.values():
                self._drop_copy(record)

    def _drop_copy(self, record: CheckpointRecord) -> None:
        for file in FILES:
            (record.path / file).unlink(missing_ok=True)

    def _look(self) -> None:
        """Take up what has come since the last look, and forget what has gone."""
        folders = self._files.folders()
        self._looked = self._clock()
        self._known = {name: record for name, record in self._known.items() if name in folders}
        for name in sorted(folders - self._known.keys() - self._ignored):
            there = self._files.names(name)
            if MANIFEST not in there or _DAMAGED in there:
                continue
            try:
                self._fetch(name, (MANIFEST,))
                self._known[name] = read_record(self._cache / name)[0]
            except CheckpointNotFoundError:
                continue  # removed meanwhile
            except CheckpointDamagedError as error:
                self._mark_damaged(name, error)
            except CheckpointError as error:
                self._ignored.add(name)
                _logger.warning("%s does not count and is left alone: %s", self._files.place(name), error)

    def _fetch(self, name: str, files: tuple[str, ...]) -> None:
        folder = self._cache / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            self._files.download(name, file, folder / file)

    def _fetch_whole(self, name: str) -> None:
        try:
            self._fetch(name, (*FILES, MANIFEST))
        except CheckpointNotFoundError as error:
            if MANIFEST in self._files.names(name):
                raise CheckpointDamagedError(str(error)) from error
            raise
        verify_checkpoint(self._cache / name)

    def _mark_damaged(self, name: str, error: CheckpointError) -> None:
        self._files.put((json.dumps({"error": str(error)}) + "\n").encode(), name, _DAMAGED)
        _logger.warning("set aside a damaged checkpoint, %s: %s", self._files.place(name, _DAMAGED), error)

    def _remove(self, name: str) -> None:
        self._files.remove(name, MANIFEST)
        self._known.pop(name, None)
        remove_folder(self._cache / name)
        for file in self._files.names(name):
            self._files.remove(name, file)
        self._files.remove_folder(name)

    def _give_up(self, name: str) -> None:
        """Leave nothing of an upload that failed, so that it does not turn up later."""
        with suppress(CheckpointError):
            self._remove(name)

    def _clear_leftovers(self) -> None:
        """Remove what a killed upload left a day ago; a younger one may still be at work."""
        for name in self._files.folders() - self._known.keys():
            try:
                there = self._files.names(name)
                ours = there and there <= set(FILES)
                if ours and all(self._files.age_s(name, file) > _LEFT_OVER_S for file in there):
                    self._remove(name)
            except CheckpointError as error:
                _logger.warning("%s is left alone: %s", self._files.place(name), error)
