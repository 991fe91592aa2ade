"""Objects below a URL: each operation is tried again after a pause, and its errors say where."""

import errno
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper

from components.errors import CheckpointError, CheckpointNotFoundError, InvalidInputError

_logger = logging.getLogger(__name__)
_LASTING = (PermissionError, NotImplementedError)  # another attempt will not help
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"}
Result = TypeVar("Result")


class RemoteFiles:
    """Folders of objects, one level below a URL.

    Args:
        url: such as `s3://bucket/run`; or a path within `filesystem`.
        filesystem: of fsspec or pyarrow; default the one of the URL.
        attempts: of each operation.
        pause_s: before the second attempt; doubled before each further one.

    Raises:
        InvalidInputError: there is no such protocol, or its package is not installed.
    """

    def __init__(self, url: str, filesystem: Any = None, *, attempts: int = 4, pause_s: float = 0.5) -> None:
        self._url, self._attempts, self._pause_s = url.rstrip("/"), attempts, pause_s
        if filesystem is None:
            try:
                self._fs, self._root = fsspec.url_to_fs(self._url)
            except (ValueError, ImportError) as error:
                raise InvalidInputError(f"{url}: {error}. Hint: S3 needs s3fs, Google gcsfs, Azure adlfs.") from error
        else:
            self._fs = filesystem if isinstance(filesystem, fsspec.AbstractFileSystem) else ArrowFSWrapper(filesystem)
            self._root = self._fs._strip_protocol(self._url)  # noqa: SLF001 - what fsspec's own callers use
        protocol = self._fs.protocol
        self._has_folders = _OBJECT_STORES.isdisjoint({protocol} if isinstance(protocol, str) else protocol)

    def place(self, *names: str) -> str:
        """Where an object or a folder is, for people."""
        return "/".join((self._url, *names))

    def folders(self) -> set[str]:
        """Names of the folders; none where nothing was ever put."""
        return {name for name, kind in self._list().items() if kind == "directory"}

    def names(self, folder: str) -> set[str]:
        """Names of the objects in a folder; none where it is not there."""
        return {name for name, kind in self._list(folder).items() if kind == "file"}

    def upload(self, path: Path, *names: str) -> None:
        """Put a local file there, and see that all of it has arrived."""
        size = path.stat().st_size

        def put() -> None:
            self._make_folder(names[0])
            self._fs.put_file(str(path), self._path(*names))
            found = self._fs.info(self._path(*names))["size"]
            if found != size:
                raise OSError(errno.EIO, f"{found} of {size} bytes have arrived")

        self._try(put, *names)

    def put(self, content: bytes, *names: str) -> None:
        """Put bytes there."""

        def put() -> None:
            self._make_folder(names[0])
            self._fs.pipe_file(self._path(*names), content)

        self._try(put, *names)

    def download(self, folder: str, name: str, path: Path) -> None:
        """Fetch an object into a local file."""
        self._try(lambda: self._fs.get_file(self._path(folder, name), str(path)), folder, name)

    def remove(self, folder: str, name: str) -> None:
        """Remove an object; that it is not there is no error."""
        try:
            self._try(lambda: self._fs.rm_file(self._path(folder, name)), folder, name)
        except CheckpointNotFoundError:
            return
        finally:
            self._fs.invalidate_cache(self._path(folder))

    def age_s(self, *names: str) -> float:
        """Seconds since an object was written, by the store's clock and ours; 0 where the store does not say."""

        def age() -> float:
            try:
                written: datetime = self._fs.modified(self._path(*names))
            except (NotImplementedError, KeyError):
                return 0.0
            return (datetime.now(UTC) - (written if written.tzinfo else written.replace(tzinfo=UTC))).total_seconds()

        return self._try(age, *names)

    def _list(self, *names: str) -> dict[str, str]:
        place = self._path(*names)
        self._fs.invalidate_cache(place)  # what others have put since
        try:
            entries = self._try(lambda: self._fs.ls(place, detail=True), *names)
        except CheckpointNotFoundError:
            return {}
        return {entry["name"].rstrip("/").rpartition("/")[2]: entry["type"] for entry in entries}

    def _path(self, *names: str) -> str:
        return "/".join((self._root.rstrip("/"), *names))

    def remove_folder(self, folder: str) -> None:
        """Where folders are real, remove one that is empty."""
        if self._has_folders:
            with suppress(OSError):
                self._fs.rmdir(self._path(folder))

    def _make_folder(self, folder: str) -> None:
        """Where folders are real they must be there first; on an object store it might make a bucket."""
        if self._has_folders:
            self._fs.makedirs(self._path(folder), exist_ok=True)

    def _try(self, operation: Callable[[], Result], *names: str) -> Result:
        """Run an operation; errors of networks come in every class, so that only what will last is not tried again."""
        for attempt in range(1, self._attempts + 1):
            try:
                return operation()
            except FileNotFoundError as error:
                raise CheckpointNotFoundError(f"{self.place(*names)}: is not there.") from error
            except _LASTING as error:
                raise CheckpointError(f"{self.place(*names)}: {error!r}") from error
            except Exception as error:
                if attempt == self._attempts:
                    raise CheckpointError(f"{self.place(*names)}: failed {attempt} times, last: {error!r}") from error
                _logger.warning("%s: attempt %d of %d: %r", self.place(*names), attempt, self._attempts, error)
                time.sleep(self._pause_s * 2 ** (attempt - 1))
        raise AssertionError  # the last attempt returns or raises
