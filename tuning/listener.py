"""What a study tells whoever listens, such as a progress display."""

from typing import Any

from tuning.plan import Plan
from tuning.record import Clone, TrialEntry


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
        self._listeners = listeners

    def planned(self, plan: Plan) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.planned(plan)

    def trial_started(self, number: int, baseline: str | None) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.trial_started(number, baseline)

    def trial_cloned(self, clone: Clone) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.trial_cloned(clone)

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.epoch_done(number, row)

    def worker_reported(self, number: int, pid: int) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.worker_reported(number, pid)

    def trial_ended(self, entry: TrialEntry) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.trial_ended(entry)

    def stopping(self, reason: str = "") -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.stopping(reason)

    def warned(self, text: str) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.warned(text)

    def tick(self) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.tick()

    def close(self) -> None:
        """See `Listener`."""
        for listener in self._listeners:
            listener.close()
