"""What a study tells whoever listens, such as a progress display."""

import logging
from collections.abc import Callable
from typing import Any

from components.plain_text import error_text
from tuning.plan import Plan
from tuning.record import Clone, TrialEntry

_logger = logging.getLogger(__name__)


class Listener:
    """Hears of a study's events after they are recorded; this one keeps silent."""

    def planned(self, plan: Plan) -> None:
        """The study is about to run."""

    def trial_started(self, number: int, baseline: str | None) -> None:
        """A trial starts or goes on."""

    def trial_cloned(self, clone: Clone) -> None:
        """A trial goes on from another's checkpoint."""

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """A trial reported an epoch."""

    def worker_reported(self, number: int, pid: int) -> None:
        """A report came from the trial's worker process on this machine; told after what it reported."""

    def trial_ended(self, entry: TrialEntry) -> None:
        """A trial ended, or its worker died (then its state is still `running`)."""

    def stopping(self, reason: str = "") -> None:
        """A clean stop is under way: the user asked for it, or a rule of the study did, which is the reason."""

    def warned(self, text: str) -> None:
        """Something is worth a warning, such as a trial that does not learn."""

    def tick(self) -> None:
        """Some time has passed."""

    def close(self) -> None:
        """The run is over."""


class Listeners(Listener):
    """Several listeners as one; each hears everything, in their order.

    Args:
        listeners: any number.
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)

    def planned(self, plan: Plan) -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.planned(plan))

    def trial_started(self, number: int, baseline: str | None) -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.trial_started(number, baseline))

    def trial_cloned(self, clone: Clone) -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.trial_cloned(clone))

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.epoch_done(number, row))

    def worker_reported(self, number: int, pid: int) -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.worker_reported(number, pid))

    def trial_ended(self, entry: TrialEntry) -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.trial_ended(entry))

    def stopping(self, reason: str = "") -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.stopping(reason))

    def warned(self, text: str) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.warned(text)

    def tick(self) -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.tick())

    def close(self) -> None:
        """See `Listener`."""
        self._tell(lambda listener: listener.close())

    def _tell(self, event: Callable[[Listener], None]) -> None:
        for listener in list(self._listeners):
            event(listener)


class Guarded(Listeners):
    """A listener that cannot fail the study: one that raises is left out from then on, and that is said once.

    Args:
        listener: such as a display, or one of the user's.
    """

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)

    def _tell(self, event: Callable[[Listener], None]) -> None:
        for listener in list(self._listeners):
            try:
                event(listener)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - SystemExit is what Rich makes of a closed pipe
                self._listeners.remove(listener)
                name = type(listener).__name__
                _logger.warning("%s is left out from here on, the study goes on: %s", name, error_text(error))
