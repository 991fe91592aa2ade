"""The lock of a study: one process runs it at a time, and others can tell which, and ask it to stop."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from components.json_lines import replace_text
from tuning.errors import StudyBusyError, StudyPlaceError
from tuning.record import StudyDirectory

_PATIENCE_S = 1.0  # a status command may hold the lock for a moment


@dataclass(frozen=True)
class Owner:
    """The process that runs a study; `since` is in ISO 8601, UTC."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


@contextmanager
def study_lock(directory: StudyDirectory) -> Iterator[None]:
    """Hold the study's lock; the kernel gives it back when this process dies.

    Raises:
        StudyBusyError: another process holds it; names process, host and start.
        StudyPlaceError: the directory cannot be made or written.
    """
    lock = FileLock(directory.lock, timeout=_PATIENCE_S)
    try:
        with _writing(directory):
            directory.root.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout:
        owner = _read_owner(directory)
        raise StudyBusyError(
            f"{directory.root}: the study is being run{f' by {owner}' if owner else ''}. "
            f"Hint: watch it with segtune status {directory.root}, or stop it with segtune stop {directory.root}"
        ) from None
    try:
        owner = Owner(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))
        with _writing(directory):
            replace_text(directory.owner, json.dumps(asdict(owner)) + "\n")
        yield
    finally:
        directory.owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def _writing(directory: StudyDirectory) -> Iterator[None]:
    try:
        yield
    except Timeout:  # an OSError itself
        raise
    except OSError as error:
        hint = "Hint: make it writable, or name another with --dir."
        raise StudyPlaceError(f"{directory.root}: cannot be written: {error.strerror}. {hint}") from error


def is_running(directory: StudyDirectory, patience: float = 0.0) -> bool:
    """Whether a process runs the study now.

    Args:
        directory: study directory.
        patience: seconds for which the lock must be held; 0 also counts another command that asks this.
    """
    if not directory.lock.exists():
        return False
    try:
        with FileLock(directory.lock, timeout=patience):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # what cannot be written here cannot be run here


def ask_to_stop(directory: StudyDirectory) -> Owner | None:
    """Ask the process that runs the study to stop cleanly, as Ctrl-C does.

    Returns:
        The process, which may still be saving; None when none runs the study.

    Raises:
        StudyBusyError: it runs on another host, belongs to someone else, or is only just starting.
    """
    if not is_running(directory, _PATIENCE_S):  # else a killed run's process number might be taken for one that runs
        return None
    owner, here = _read_owner(directory), socket.gethostname()
    if owner is None:
        raise StudyBusyError(f"{directory.root}: a run is only just starting. Hint: try again.")
    if owner.host != here:
        raise StudyBusyError(
            f"{directory.root}: is run by {owner}, this is {here}. Hint: run segtune stop {directory.root} there."
        )
    try:
        os.kill(owner.pid, signal.SIGTERM)
    except PermissionError as error:
        raise StudyBusyError(f"{directory.root}: is run by {owner}, who is not you. Hint: ask them.") from error
    except ProcessLookupError:
        return None
    return owner


def _read_owner(directory: StudyDirectory) -> Owner | None:
    try:
        return Owner(**json.loads(directory.owner.read_text(encoding="utf-8")))
    except (FileNotFoundError, IsADirectoryError, ValueError, TypeError):  # absent, or damaged
        return None
