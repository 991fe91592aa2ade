"""Ctrl-C and `segtune stop`: the first signal stops a study cleanly, the second at once."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from tuning.engine import StopFlag
from tuning.listener import Listener


class StopSignals:
    """Turns SIGINT and SIGTERM into a clean stop.

    Args:
        stop: set by the first signal.
        listener: told of it.
    """

    def __init__(self, stop: StopFlag, listener: Listener) -> None:
        self._stop, self._listener, self._asked = stop, listener, False

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals; once more after Ray has started, since it puts its own handlers in their place.

        Outside the main thread Python allows no handlers, and nothing is done.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)  # None: a handler that is not Python's

    def _handle(self, number: int, frame: Any) -> None:
        del number, frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._stop.set()
        self._listener.stopping()
