"""The log of decisions to save: one JSON line for each time that a policy was asked, with its reason and its numbers.

It stands here, without torch, so that reports and the command line read it in no time.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from components.errors import CheckpointDamagedError, CheckpointNotFoundError
from components.json_lines import cut_torn_tail, parse_line, read_lines

if TYPE_CHECKING:
    from components.checkpoints.policies import SaveDecision

_logger = logging.getLogger(__name__)
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no such numbers, but these texts
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("time", "kind", "reason", "path"), str),
    **dict.fromkeys(("epoch", "bytes"), int),
    **dict.fromkeys(("save", "hold"), bool),
    **dict.fromkeys(("epoch_seconds", "seconds", "persist_seconds"), int | float),
    "inputs": Mapping,
    "metric": int | float | None,
    "cases": Mapping | None,
}
_TEXTS = ("time", "kind", "reason", "path")  # never a number


@dataclass(frozen=True)
class Decision:
    """What was decided at the end of an epoch, and what came of it.

    Attributes:
        epoch: that had just ended.
        time: when, ISO 8601 with zone.
        save: whether a checkpoint was asked for.
        kind: what for.
        reason: in words.
        hold: whether a copy was kept in memory.
        inputs: the numbers that decided.
        metric: the monitored metric; may be NaN, None where it was missing.
        epoch_seconds: training since the decision before; 0 where none took place, as in a save at the end.
        seconds: how long training waited for the save, or for the copy that is held.
        persist_seconds: from the copy until the checkpoint was durable.
        bytes: written.
        path: name of the checkpoint's directory; empty when there is none.
        cases: score of each case, so that a replay can weigh gains against their noise; None where not known.

    Example:
        >>> decision = Decision.of(SaveDecision(save=False, kind="best", reason="no gain"), epoch=3, metric=0.5)
        >>> Decision.from_line(decision.to_line()) == decision
        True
    """

    epoch: int
    time: str
    save: bool
    kind: str
    reason: str
    hold: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)
    metric: float | None = None
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    persist_seconds: float = 0.0
    bytes: int = 0
    path: str = ""
    cases: Mapping[str, float] | None = None

    @classmethod
    def of(cls, decision: "SaveDecision", *, epoch: int, time: datetime | None = None, **facts: Any) -> Self:
        """What a policy said, now or at `time`; `facts` are the attributes that the policy does not know."""
        moment = (time or datetime.now(UTC)).isoformat(timespec="milliseconds")
        said = {name: getattr(decision, name) for name in ("save", "kind", "reason", "hold", "inputs")}
        return cls(epoch=epoch, time=moment, **said, **facts)

    def to_line(self) -> str:
        """One line of JSON, without its end.

        Raises:
            TypeError: a value is none that JSON has.
        """
        return json.dumps(_encode(asdict(self)), allow_nan=False)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The decision of a line; what a later version added is left out.

        Raises:
            ValueError: it is no JSON object, or lacks an entry.
        """
        found = parse_line(line.encode(errors="replace"))
        if found is None:
            raise ValueError("no JSON object")
        return cls.from_row(found)

    @classmethod
    def from_row(cls, found: Mapping[str, Any]) -> Self:
        """The decision of a line that was read; what a later version added is left out.

        Raises:
            ValueError: it lacks an entry, or one is of another type.
        """
        missing = {"epoch", "time", "save", "kind", "reason"} - found.keys()
        if missing:
            raise ValueError(f"lacks {', '.join(sorted(missing))}")
        if type(found["epoch"]) is not int or type(found["save"]) is not bool:
            raise ValueError(f"found epoch {found['epoch']!r}, save {found['save']!r}")
        known = {name: value for name, value in found.items() if name in cls.__dataclass_fields__}
        known = {name: value if name in _TEXTS else _decode(value) for name, value in known.items()}
        if wrong := [name for name, value in known.items() if not isinstance(value, _TYPES[name])]:
            raise ValueError(f"found {', '.join(f'{name} {known[name]!r:.50}' for name in wrong)}")
        return cls(**known)


class DecisionLog:
    """Appends decisions to a file; one that cannot be written warns once and never stops the training.

    Args:
        path: of the file; its folder is made when needed.

    Example:
        >>> log = DecisionLog(Path("checkpoints/decisions.jsonl"))
        >>> log.append(Decision.of(policy.decide(moment), epoch=3, metric=0.7))  # doctest: +SKIP
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._whole = self._warned = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def append(self, decision: Decision) -> None:
        """Add a line; it survives a kill of this process, not a power cut."""
        try:
            line = (decision.to_line() + "\n").encode()
            if not self._whole:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                cut_torn_tail(self._path)
            self._whole = False  # until this line is whole itself
            with self._path.open("ab") as stream:
                stream.write(line)
            self._whole = True
        except (OSError, TypeError, ValueError) as error:
            if not self._warned:
                _logger.warning("%s: decisions are not logged: %s", self._path, error)
            self._warned = True


def read_decisions(path: Path) -> list[Decision]:
    """The decisions of a log, in the order of their lines; what is damaged is named in a warning and left out.

    Raises:
        CheckpointNotFoundError: there is no such file.
        CheckpointDamagedError: none of its lines can be read.
        OSError: the file cannot be read.

    Example:
        >>> [decision.epoch for decision in read_decisions(Path("decisions.jsonl")) if decision.save]  # doctest: +SKIP
        [1, 2, 4, 11]
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointNotFoundError(f"{path}: there is no such log of decisions.")
    rows = read_lines(path, is_whole=_is_decision)
    if not rows and path.stat().st_size:
        raise CheckpointDamagedError(f"{path}: no decision can be read in it.")
    return [Decision.from_row(row) for row in rows]


def _is_decision(row: dict[str, Any]) -> bool:
    try:
        Decision.from_row(row)
    except (ValueError, TypeError):
        return False
    return True


def _encode(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _encode(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(part) for part in value]
    return str(float(value)) if isinstance(value, float) and not math.isfinite(value) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _decode(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_decode(part) for part in value]
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value
