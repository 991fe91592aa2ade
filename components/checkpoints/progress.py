"""What a manager counts: epochs and their metric, seconds, bytes, what saving cost."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from components.checkpoints.policies import Metric, finite_metric, gain
from components.checkpoints.record import CheckpointRecord
from components.errors import InvalidInputError

RECENT = 5  # saves whose median says what one costs: a hiccup does not count for ever


class _Forward:
    """A clock that never goes back: where the one it reads does, it goes on from where it was."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._last, self._shift = clock, clock(), 0.0

    def __call__(self) -> float:
        now = self._clock()
        self._shift += max(self._last - now, 0.0)
        self._last = now
        return now + self._shift


class Progress:
    """Counters of one training, with a state that lets an interrupted one go on counting.

    Args:
        monitor: the metric.
        mode: whether more of it is better.
        clock: seconds.

    Attributes:
        bytes_written: of all checkpoints.
    """

    def __init__(self, monitor: str, mode: Metric, clock: Callable[[], float]) -> None:
        self._monitor, self._mode, self._clock = monitor, mode, _Forward(clock)
        self._started = self._saved = self._went_on = self._called = self._clock()
        self._seen: dict[int, float | None] = {}
        self._blocked, self._persisted = deque[float](maxlen=RECENT), deque[float](maxlen=RECENT)
        self.bytes_written = 0

    def see(self, epoch: int, metrics: Mapping[str, Any]) -> float | None:
        """Take note of an epoch; returns its metric, None where it is no finite number."""
        self._seen[epoch] = finite_metric(metrics, self._monitor)
        return self._seen[epoch]

    def begin_call(self) -> float:
        """The manager is called; returns for how many seconds training had gone on before."""
        self._called = self._clock()
        return self._called - self._went_on

    def end_call(self) -> None:
        """Training goes on now."""
        self._went_on = self._clock()

    @property
    def seconds_in_call(self) -> float:
        """For which training has been held up by the call so far."""
        return self._clock() - self._called

    def now(self) -> float:
        """The clock's seconds."""
        return self._clock()

    def saved(self, blocked: float) -> None:
        """Training was held up by a save for so many seconds, and goes on now."""
        self._saved = self._clock()
        self._blocked.append(blocked)

    def persisted(self, size: int, seconds: float) -> None:
        """A checkpoint of so many bytes is durable, so many seconds after its save began."""
        self.bytes_written += size
        self._persisted.append(seconds)

    @property
    def save_seconds(self) -> float:
        """For which a save holds training up; 0 before the first."""
        return median(self._blocked) if self._blocked else 0.0

    @property
    def persist_seconds(self) -> float:
        """After which a checkpoint is durable; 0 before the first."""
        return median(self._persisted) if self._persisted else 0.0

    @property
    def seconds_since_save(self) -> float:
        """Since the last save, or the start."""
        return self._clock() - self._saved

    def epochs_since_gain(self) -> int:
        """Epochs seen since the best one, in order of epochs."""
        best, since = None, 0
        for epoch in sorted(self._seen):
            value = self._seen[epoch]
            since += 1
            if value is not None and gain(value, best, self._mode) > 0:
                best, since = value, 0
        return since

    def summary(self, kept: Sequence[CheckpointRecord]) -> dict[str, Any]:
        """Epochs seen, best metric so far and its epoch, epochs since, seconds, bytes written, checkpoints kept."""
        records = {record.epoch: finite_metric(record.metrics, self._monitor) for record in kept}
        scores = {epoch: value for epoch, value in (records | self._seen).items() if value is not None}
        sign = 1 if self._mode == "max" else -1
        best = max(scores, key=lambda epoch: (sign * scores[epoch], -epoch), default=None)
        last = max(records | self._seen, default=0)
        return {
            "epochs": last,
            "best_metric": None if best is None else scores[best],
            "best_epoch": best,
            "epochs_since_best": None if best is None else last - best,
            "seconds": self._clock() - self._started,
            "bytes_written": self.bytes_written,
            "checkpoints": len(kept),
        }

    def state_dict(self) -> dict[str, Any]:
        """Counters and clocks as JSON."""
        now = self._clock()
        return {
            "seconds": now - self._started,
            "seconds_since_save": now - self._saved,
            "save_seconds": list(self._blocked),
            "persist_seconds": list(self._persisted),
            "bytes_written": self.bytes_written,
            "seen": [[epoch, value] for epoch, value in self._seen.items()],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on counting where `state_dict` was taken.

        Raises:
            InvalidInputError: it is no such state; nothing is changed.
        """
        now = self._clock()
        try:
            clocks = [float(state_dict[name]) for name in ("seconds", "seconds_since_save")]
            costs = [[float(cost) for cost in state_dict[name]] for name in ("save_seconds", "persist_seconds")]
            written = int(state_dict["bytes_written"])
            seen = {int(epoch): None if value is None else float(value) for epoch, value in state_dict["seen"]}
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"this is no state of a checkpoint manager ({error!r}).") from error
        self._started, self._saved, self._went_on = now - clocks[0], now - clocks[1], now
        self._blocked, self._persisted = (deque(recent, RECENT) for recent in costs)
        self.bytes_written, self._seen = written, seen
