"""What to keep: the best k, the latest, every n-th and what is pinned, within a budget of bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.checkpoints.policies import Metric, finite_metric
from components.checkpoints.record import CheckpointRecord
from components.errors import InvalidInputError

Rank = tuple[float, ...]


@dataclass(frozen=True)
class KeepPolicy:
    """Keep the `count` best by a metric, and the latest beside them; the best and the latest whatever else is asked.

    Of equal ones that is better which the first of `ties` says, then the next, then the later epoch. A checkpoint
    without the metric, or with NaN, is never among the best.

    Attributes:
        monitor: the metric.
        mode: whether more of it is better.
        count: best checkpoints kept; None keeps everything.
        every: also keep those whose epoch is a multiple of it.
        max_bytes: of all that is kept together; the least good go first.
        ties: further metrics, in order, each with its mode.

    Raises:
        InvalidInputError: a number is below 1, or a mode is neither `min` nor `max`.

    Example:
        >>> KeepPolicy("val_dice", count=3, every=10, ties={"val_loss": "min"}).count
        3
    """

    monitor: str
    mode: Metric = "max"
    count: int | None = 5
    every: int | None = None
    max_bytes: int | None = None
    ties: Mapping[str, Metric] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise InvalidInputError(f"max_checkpoints: found {self.count}, must be at least 1, or None to keep all.")
        for name, value in (("keep_every", self.every), ("max_bytes", self.max_bytes)):
            if value is not None and value < 1:
                raise InvalidInputError(f"{name}: found {value}, must be at least 1, or None.")
        for name, mode in {self.monitor: self.mode, **self.ties}.items():
            if mode not in ("min", "max"):
                raise InvalidInputError(f"mode of {name}: found {mode!r}; use 'min' or 'max'.")

    def rank(self, metrics: Mapping[str, Any]) -> Rank | None:
        """Larger where the metrics are better; None where the monitored one is missing or not finite."""
        if finite_metric(metrics, self.monitor) is None:
            return None
        return tuple(_signed(metrics, name, mode) for name, mode in {self.monitor: self.mode, **self.ties}.items())

    def ranked(self, records: Sequence[CheckpointRecord]) -> list[CheckpointRecord]:
        """The records that have the metric, best first."""
        scored = [(rank, record) for record in records if (rank := self.rank(record.metrics)) is not None]
        scored.sort(key=lambda pair: (pair[0], pair[1].epoch, pair[1].created), reverse=True)
        return [record for _, record in scored]

    def select(
        self, records: Sequence[CheckpointRecord], pinned: Callable[[CheckpointRecord], bool] = lambda _: False
    ) -> list[CheckpointRecord]:
        """The records that stay."""
        if not records:
            return []
        ranked = self.ranked(records)
        fixed = [latest(records), *ranked[:1], *filter(pinned, records)]
        # Where bytes are short, what comes later here goes first.
        wanted = [*ranked[: self.count], *(r for r in _newest_first(records) if self._is_kept_anyway(r))]
        staying = {record.path: record for record in fixed}
        room = None if self.max_bytes is None else self.max_bytes - sum(record.bytes for record in staying.values())
        for record in wanted:
            if record.path in staying:
                continue
            if room is not None:
                if record.bytes > room:
                    break
                room -= record.bytes
            staying[record.path] = record
        return [record for record in records if record.path in staying]

    def _is_kept_anyway(self, record: CheckpointRecord) -> bool:
        return self.count is None or (self.every is not None and record.epoch % self.every == 0)


def latest(records: Sequence[CheckpointRecord]) -> CheckpointRecord:
    """The record of the last epoch; of equal ones the one written last."""
    return max(records, key=lambda record: (record.epoch, record.created))


def _newest_first(records: Sequence[CheckpointRecord]) -> list[CheckpointRecord]:
    return sorted(records, key=lambda record: (record.epoch, record.created), reverse=True)


def _signed(metrics: Mapping[str, Any], name: str, mode: Metric) -> float:
    value = finite_metric(metrics, name)
    if value is None:
        return -float("inf")
    return value if mode == "max" else -value
