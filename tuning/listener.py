"""What a study tells whoever listens, such as a progress display."""

from typing import Any

from tuning.plan import Plan
from tuning.record import TrialEntry


class Listener:
    """Hears of a study's events after they are recorded; this one keeps silent."""

    def planned(self, plan: Plan) -> None:
        """The study is about to run."""

    def trial_started(self, number: int, baseline: str | None) -> None:
        """A trial starts or goes on."""

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """A trial reported an epoch."""

    def trial_ended(self, entry: TrialEntry) -> None:
        """A trial ended, or its worker died (then its state is still `running`)."""

    def stopping(self) -> None:
        """The user asked for a clean stop."""

    def tick(self) -> None:
        """Some time has passed."""

    def close(self) -> None:
        """The run is over."""
