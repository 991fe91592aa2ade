"""The lock of a study: one process runs it at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from tuning.errors import StudyBusyError
from tuning.record import StudyDirectory

_PATIENCE_S = 1.0  # a status command may hold the lock for a moment


@contextmanager
def study_lock(directory: StudyDirectory) -> Iterator[None]:
    """Hold the study's lock; the kernel gives it back when this process dies.

    Raises:
        StudyBusyError: another process holds it; names process, host and start.
    """
    directory.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory.lock, timeout=_PATIENCE_S)
    try:
        lock.acquire()
    except Timeout:
        last = next((event for event in reversed(directory.attempts()) if event["event"] == "start"), None)
        owner = f" by process {last['pid']} on {last['host']} since {last['time']}" if last else ""
        raise StudyBusyError(
            f"{directory.root}: the study is being run{owner}. Hint: watch it with segtune status {directory.root}"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_running(directory: StudyDirectory) -> bool:
    """Whether a process runs the study now."""
    if not directory.lock.exists():
        return False
    try:
        with FileLock(directory.lock, timeout=0):
            return False
    except Timeout:
        return True
