"""What to keep: the best k and the latest."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.checkpoints.policies import Metric, finite_metric
from components.checkpoints.record import CheckpointRecord
from components.errors import InvalidInputError


@dataclass(frozen=True)
class KeepPolicy:
    """Keep the `count` best by a metric, of equal ones the later epoch, and the latest beside them.

    A checkpoint without the metric, or with NaN, is never among the best.

    Attributes:
        count: best checkpoints kept; None keeps everything.

    Raises:
        InvalidInputError: count is below 1.
    """

    monitor: str
    mode: Metric = "max"
    count: int | None = 5

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise InvalidInputError(f"max_checkpoints: found {self.count}, must be at least 1, or None to keep all.")

    def ranked(self, records: Sequence[CheckpointRecord]) -> list[CheckpointRecord]:
        """The records that have the metric, best first."""
        sign = 1 if self.mode == "max" else -1
        scored = [(value, r) for r in records if (value := finite_metric(r.metrics, self.monitor)) is not None]
        return [
            r
            for _, r in sorted(scored, key=lambda pair: (sign * pair[0], pair[1].epoch, pair[1].created), reverse=True)
        ]

    def select(self, records: Sequence[CheckpointRecord]) -> list[CheckpointRecord]:
        """The records that stay."""
        if self.count is None or not records:
            return list(records)
        staying = {record.path for record in self.ranked(records)[: self.count]} | {latest(records).path}
        return [record for record in records if record.path in staying]


def latest(records: Sequence[CheckpointRecord]) -> CheckpointRecord:
    """The record of the last epoch; of equal ones the one written last."""
    return max(records, key=lambda record: (record.epoch, record.created))
