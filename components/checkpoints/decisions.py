"""Every decision about saving, with its reason and what it was decided by; a line of JSON each."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.checkpoints.policies import SaveDecision
from components.errors import CheckpointDamagedError, CheckpointNotFoundError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """Whether something was saved, why, and what it cost.

    Attributes:
        epoch: that had ended.
        time: when, ISO 8601.
        save: whether it was saved; where saving failed, it was not.
        kind: as what.
        reason: in words.
        hold: whether a copy is held in memory, to be written later.
        inputs: numbers that it was decided by.
        metric: monitored metric of the epoch; None where it was no finite number.
        epoch_seconds: of training and validation before.
        seconds: for which training was held up.
        bytes: written.
        path: name of the checkpoint.
    """

    epoch: int
    time: str
    save: bool
    kind: str
    reason: str
    hold: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)
    metric: float | None = None
    epoch_seconds: float | None = None
    seconds: float | None = None
    bytes: int | None = None
    path: str = ""

    def line(self) -> dict[str, Any]:
        """As JSON; what is not finite becomes null."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def decided(
    wanted: SaveDecision, *, epoch: int, metric: float | None = None, epoch_seconds: float | None = None
) -> Decision:
    """The decision of a policy at an epoch, before it is carried out."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Decision(
        epoch, now, wanted.save, wanted.kind, wanted.reason, wanted.hold, wanted.inputs, metric, epoch_seconds
    )


class DecisionLog:
    """Decisions in a file; one that cannot be written costs a warning and nothing else.

    Args:
        path: file, appended to.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._warned = path, False

    def append(self, decision: Decision) -> None:
        """Add a line."""
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(decision.line(), allow_nan=False) + "\n")
        except OSError as error:
            if not self._warned:
                _logger.warning("%s: decisions are not logged: %s", self._path, error)
            self._warned = True


def read_decisions(path: Path) -> list[Decision]:
    """Read a log; a last line that a kill left unfinished is left out.

    Raises:
        CheckpointNotFoundError: there is no such file.
        CheckpointDamagedError: another line is none; names it.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise CheckpointNotFoundError(f"{path}: there is no log of decisions.") from None
    decisions = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            decisions.append(Decision(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise CheckpointDamagedError(f"{path}:{number}: this is no decision ({error}).") from error
    return decisions


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value
