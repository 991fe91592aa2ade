"""Lets the k-th file operation fail in a folder, whichever it is and in whichever thread it runs."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

_CALLS = (
    *("open", "close", "read", "write", "ftruncate", "fsync", "rename", "replace", "link", "mkdir"),
    *("unlink", "remove", "rmdir", "listdir", "scandir", "stat", "lstat", "statvfs", "utime"),
)
_AFTER = "close"  # fails when it has been done: what was open is never left open


class Faults:
    """Counts the operations on a folder and its files, and lets the chosen ones fail.

    Attributes:
        count: operations so far.
        failed: names of those that failed.
    """

    def __init__(self, folder: Path, code: int, first: int, times: int) -> None:
        self._folder, self._code = str(folder), code
        self._failing = range(first, first + times)
        self._lock = threading.Lock()
        self.count = 0
        self.failed: list[str] = []

    def concerns(self, place: Any, options: dict[str, Any]) -> bool:
        """Whether a call's first argument is in the folder; a number is an open file, or a folder that is walked."""
        return isinstance(place, int) or "dir_fd" in options or os.fspath(place).startswith(self._folder)

    def strike(self, name: str) -> None:
        """Count an operation; raises when it is to fail."""
        with self._lock:
            self.count += 1
            struck = self.count in self._failing
            if struck:
                self.failed.append(name)
        if struck:
            raise OSError(self._code, os.strerror(self._code))

    def wrap(self, name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        """The call of `os`, counted."""

        def call(place: Any, *arguments: Any, **options: Any) -> Any:
            if not self.concerns(place, options):
                return whole(place, *arguments, **options)
            if name != _AFTER:
                self.strike(name)
                return whole(place, *arguments, **options)
            result = whole(place, *arguments, **options)
            self.strike(name)
            return result

        return call

    def opening(self, whole: Callable[..., Any]) -> Callable[..., Any]:
        """`io.open`, counted, with streams that are counted too."""

        def call(place: Any, *arguments: Any, **options: Any) -> Any:
            if not self.concerns(place, options):
                return whole(place, *arguments, **options)
            self.strike("open")
            return _Stream(whole(place, *arguments, **options), self)

        return call


class _Stream:
    """A file whose reads, writes and end are counted; a write that fails has written half by then."""

    def __init__(self, stream: Any, faults: Faults) -> None:
        self._stream, self._faults = stream, faults

    def write(self, content: Any) -> Any:
        try:
            self._faults.strike("write")
        except OSError:
            self._stream.write(content[: len(content) // 2])
            raise
        return self._stream.write(content)

    def read(self, *arguments: Any) -> Any:
        self._faults.strike("read")
        return self._stream.read(*arguments)

    def close(self) -> None:
        if not self._stream.closed:
            self._stream.close()
            self._faults.strike("close")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def failing(folder: Path, code: int = 0, *, first: int = 0, times: int = 1) -> Iterator[Faults]:
    """Within it the operations `first`, counted from 1, and those after it fail `times` times; 0 only counts."""
    planted = Faults(folder, code, first or 10**9, times)
    with pytest.MonkeyPatch.context() as patch:
        for name in _CALLS:
            patch.setattr(os, name, planted.wrap(name, getattr(os, name)))
        patch.setattr(io, "open", planted.opening(io.open))
        yield planted
