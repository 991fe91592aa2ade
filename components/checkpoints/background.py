"""Writing in the background: one checkpoint at a time, and no error that goes unseen."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path


class SaveHandle:
    """A checkpoint that is being written; it is durable once `result` has returned.

    Example:
        >>> handle = manager.save_checkpoint(model, epoch=1, metrics={...}, asynchronous=True)  # doctest: +SKIP
        >>> path = handle.result()  # doctest: +SKIP
    """

    def __init__(self, future: "Future[Path]") -> None:
        self._future = future
        self._seen = False

    def result(self, timeout: float | None = None) -> Path:
        """Wait for the checkpoint and return its path.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            CheckpointError: it could not be written; earlier checkpoints are untouched.
            TimeoutError: it is not written yet.
        """
        try:
            return self._future.result(timeout)
        finally:
            self._seen = self._seen or self._future.done()

    def done(self) -> bool:
        """Whether writing has ended, well or not."""
        return self._future.done()

    def settle(self) -> None:
        """Wait, and raise an error that nobody has seen yet."""
        if self._seen:
            return
        self.result()


class BackgroundWriter:
    """Runs one write at a time in a thread of its own; a process that ends waits for it."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._last: SaveHandle | None = None

    def submit(self, write: Callable[[], Path]) -> SaveHandle:
        """Begin a write, after the one before has ended.

        Raises:
            CheckpointError: the one before could not be written and nobody has seen it; this one is not begun.
        """
        self.settle()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._last = SaveHandle(self._pool.submit(write))
        return self._last

    def settle(self) -> None:
        """Wait for the write in flight.

        Raises:
            CheckpointError: it could not be written and nobody has seen it; raised once.
        """
        last, self._last = self._last, None
        if last is not None:
            last.settle()

    def close(self) -> None:
        """Wait, and end the thread; a later `submit` begins a new one.

        Raises:
            CheckpointError: as `settle`.
        """
        try:
            self.settle()
        finally:
            pool, self._pool = self._pool, None
            if pool is not None:
                pool.shutdown()
