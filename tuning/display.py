"""Standard output and standard error that stay writable: a closed pipe or terminal takes nothing, and ends nothing."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)  # nobody reads any more: `| head` has enough, the terminal is closed


class _SteadyFile(io.FileIO):
    """Drops what nobody can read any more; any other error, such as a full disk, is raised once."""

    _raised = False

    def write(self, content: Any) -> int:
        try:
            return super().write(content) or 0
        except OSError as error:
            if error.errno not in _GONE and not self._raised:
                self._raised = True  # what is in the buffers is tried again at the end, which would hide the exit code
                raise
            return len(content)


def steady_streams() -> None:
    """Make the standard streams of this process steady, and have them write out what the terminal's encoding lacks.

    Streams that are no files, as in a notebook, stay as they are.
    """
    for name in ("stdout", "stderr"):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            setattr(sys, name, _steady(getattr(sys, name), at_once=name == "stderr"))


@contextlib.contextmanager
def display_only() -> Iterator[None]:
    """What is only shown, of work that is done and recorded: a full disk below the output must not change its exit."""
    with contextlib.suppress(OSError):
        yield


def _steady(stream: TextIO, *, at_once: bool) -> TextIO:
    stream.flush()
    number = stream.fileno()
    os.fstat(number)
    return io.TextIOWrapper(
        io.BufferedWriter(_SteadyFile(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=at_once or stream.isatty(),
    )
