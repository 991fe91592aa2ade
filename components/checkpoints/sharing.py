"""Several processes on one directory: who is still at work in it, and who reads what.

Every mark is a file lock, which the system lets go of with the process that held it: a killed one leaves nothing that
lasts, and no clock is asked.
"""

import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from components.errors import CheckpointNotFoundError

_logger = logging.getLogger(__name__)
_USER, _LEASE, _GATE = ".user-", ".lease-", ".gate"
_ID_LENGTH = 12


class Presence:
    """One user of a directory, known by a name; alive as long as its lock is held.

    Args:
        root: the directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.name = uuid4().hex[:_ID_LENGTH]
        self._lock: FileLock | None = None
        self._end: Callable[[], object] = lambda: None

    def announce(self) -> str:
        """Be alive to others from now on; returns the name."""
        if self._lock is None:
            self._root.stat()  # the lock would make what has been moved away anew
            path = self._root / (_USER + self.name)
            lock = FileLock(path, thread_local=False)  # let go by whichever thread ends it
            lock.acquire()
            self._lock = lock
            self._end = weakref.finalize(self, _leave, lock, path)
        return self.name

    def leave(self) -> None:
        """Be alive no more, until the next announcement."""
        if self._lock is not None:
            self._lock = None
            self._end()


def is_alive(root: Path, name: str) -> bool:
    """Whether the user of that name is still at work; the mark of a dead one is removed."""
    path = root / (_USER + name)
    if not path.exists():
        return False
    try:
        with FileLock(path, blocking=False):
            pass
    except Timeout:
        return True
    except OSError:  # a file system without locks, or one that is only read: nothing is known, so nothing is removed
        return True
    _unlink(path)
    return False


def clear_dead_users(root: Path) -> None:
    """Remove the marks of those who were killed."""
    for path in root.glob(_USER + "*"):
        is_alive(root, path.name.removeprefix(_USER))


@contextmanager
def gate(root: Path) -> Iterator[None]:
    """Between a lease and a removal only one goes on at a time; held for moments."""
    if not root.is_dir():  # where it was moved from, the lock would make it anew
        yield
        return
    try:
        lock = FileLock(root / _GATE)
        lock.acquire()
    except OSError as error:
        _logger.debug("%s: cannot be locked (%s)", root, error)
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # its file is closed all the same
            lock.release()


@contextmanager
def lease(checkpoint: Path) -> Iterator[None]:
    """Keep a checkpoint from being removed while it is read, by whichever process.

    Where nothing can be written, as on a file system that is only read, nothing can be removed either, and there is no
    lease.

    Args:
        checkpoint: its directory.

    Raises:
        CheckpointNotFoundError: it is no longer there.

    Example:
        >>> with lease(record.path):  # doctest: +SKIP
        ...     weights = (record.path / "model.safetensors").read_bytes()
    """
    presence = Presence(checkpoint.parent)
    mark = checkpoint / f"{_LEASE}{presence.name}"
    with gate(checkpoint.parent):
        if not checkpoint.is_dir():
            raise CheckpointNotFoundError(f"{checkpoint}: there is no such checkpoint. Hint: was it pruned meanwhile?")
        try:
            presence.announce()
            mark.touch()
        except OSError as error:
            _logger.debug("%s: read without a lease (%s)", checkpoint, error)
    try:
        yield
    finally:
        _unlink(mark)


def is_leased(checkpoint: Path) -> bool:
    """Whether someone who is alive reads it."""
    marks = [path.name.removeprefix(_LEASE) for path in checkpoint.glob(_LEASE + "*")]
    return any(is_alive(checkpoint.parent, name) for name in marks)


def remove_unless_leased(checkpoint: Path, remove: Callable[[Path], object]) -> bool:
    """Have `remove` take a checkpoint away, unless someone reads it; returns whether it has."""
    with gate(checkpoint.parent):
        if is_leased(checkpoint):
            _logger.info("%s stays for now: somebody reads it", checkpoint)
            return False
        remove(checkpoint)
    return True


def _leave(lock: FileLock, path: Path) -> None:
    with suppress(OSError):
        lock.release(force=True)
    _unlink(path)


def _unlink(mark: Path) -> None:
    """A mark that stays is one of nobody who is alive; the next look removes it."""
    with suppress(OSError):
        mark.unlink(missing_ok=True)
