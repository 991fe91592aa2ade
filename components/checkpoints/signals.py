"""Signals that ask for a checkpoint: noted when they arrive, answered when the weights are whole."""

import os
import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any

from components.errors import InvalidInputError


class SignalWatch:
    """Notes signals, so that the next call of the manager saves; a deadly one is delivered after that.

    A signal that would end the process ends it still, once `deliver` is called; one that has no deadly meaning here
    (a handler was set before, or it is ignored) has its handler called then.

    Args:
        signals: such as `signal.SIGTERM`; none watches nothing.

    Raises:
        InvalidInputError: this is not the main thread, which alone may set handlers, or a signal cannot be caught.
    """

    def __init__(self, signals: Iterable[int] = ()) -> None:
        self._before: dict[int, Any] = {}
        self._arrived: int | None = None
        numbers = list(signals)
        if numbers and threading.current_thread() is not threading.main_thread():
            raise InvalidInputError(
                "save_at_signals: only the main thread may watch signals. Hint: make the manager there, or call "
                "save_checkpoint(..., forced='signal') where the signal is noticed."
            )
        for number in numbers:
            try:
                self._before[number] = signal.signal(number, self._note)
            except (OSError, ValueError) as error:
                self.close()
                raise InvalidInputError(f"save_at_signals: {number} cannot be caught ({error}).") from error

    @property
    def arrived(self) -> str:
        """Name of the signal that waits for a save; empty when there is none."""
        return "" if self._arrived is None else signal.Signals(self._arrived).name

    def deliver(self) -> None:
        """Have the signal do what it would have done without the watch."""
        number, self._arrived = self._arrived, None
        if number is None:
            return
        signal.signal(number, self._before[number])
        os.kill(os.getpid(), number)
        signal.signal(number, self._note)  # where the process goes on, so does the watch

    def close(self) -> None:
        """Put the handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._arrived = number
