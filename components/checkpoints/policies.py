"""When to save: small frozen policies behind one method."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from components.errors import InvalidInputError

Metric = Literal["min", "max"]


@dataclass(frozen=True)
class SaveMoment:
    """What a policy may know when it decides.

    Attributes:
        epoch: that has just ended.
        metrics: of that epoch.
        best: monitored metric of the best checkpoint so far, or None.
        last_epoch: epoch of the last checkpoint, or -1: epochs may be counted from 0.
        seconds_since_save: since the last checkpoint, or since the start.
        save_seconds: for which a save holds training up, as measured.
        persist_seconds: after which a checkpoint is durable, as measured.
        epochs_since_gain: epochs since the metric was last better than ever before.
        cases: score of each case with these weights.
        best_cases: those of the best checkpoint so far.
        held: monitored metric of a copy that waits in memory to be written.
        wins_tie: whether, where the metric is equal to the best, a further metric says that this is better.
    """

    epoch: int
    metrics: Mapping[str, Any]
    best: float | None = None
    last_epoch: int = -1
    seconds_since_save: float = 0.0
    save_seconds: float = 0.0
    persist_seconds: float = 0.0
    epochs_since_gain: int = 0
    cases: Mapping[str, float] | None = None
    best_cases: Mapping[str, float] | None = None
    held: float | None = None
    wins_tie: bool = False


@dataclass(frozen=True)
class SaveDecision:
    """Whether to save, as what kind, and why.

    Attributes:
        hold: keep a copy in memory, to be written with the next save or at the end.
        inputs: numbers that it was decided by.
    """

    save: bool
    kind: str
    reason: str
    hold: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)


class SavePolicy(Protocol):
    """Decides when to save."""

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Whether to save now."""


def finite_metric(metrics: Mapping[str, Any], name: str) -> float | None:
    """The metric as a number, or None when it is missing, no number or not finite."""
    try:
        value = float(metrics[name])
    except (KeyError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def gain(value: float, best: float | None, mode: Metric) -> float:
    """By how much `value` is better than `best`; infinite when there is none."""
    if best is None:
        return math.inf
    return value - best if mode == "max" else best - value


@dataclass(frozen=True)
class BestPolicy:
    """Save on a gain of the monitored metric; NaN or a missing metric is never a gain."""

    monitor: str
    mode: Metric = "max"

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Whether the metric has gained."""
        value = finite_metric(moment.metrics, self.monitor)
        if value is None:
            found = moment.metrics.get(self.monitor, "nothing")
            return SaveDecision(save=False, kind="best", reason=f"{self.monitor} is no number: found {found}")
        gained = gain(value, moment.best, self.mode)
        better = gained > 0 or (gained == 0 and moment.wins_tie)
        so_far = "the first" if moment.best is None else f"best so far {moment.best:g}"
        return SaveDecision(better, "best", f"{self.monitor} {value:g}, {so_far}")


@dataclass(frozen=True)
class EpochPolicy:
    """Save at each epoch's end; a second call within the epoch does not save again."""

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Whether a new epoch has ended."""
        return SaveDecision(moment.epoch > moment.last_epoch, "epoch", f"end of epoch {moment.epoch}")


@dataclass(frozen=True)
class IntervalPolicy:
    """Save each n epochs or n minutes, whichever is given.

    Raises:
        InvalidInputError: neither or both are given, or one is not positive.
    """

    epochs: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.minutes is None) or not (self.epochs or self.minutes or 0) > 0:
            raise InvalidInputError(
                f"interval: give epochs or minutes, positive; found epochs={self.epochs}, minutes={self.minutes}."
            )

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Whether the interval is over."""
        if self.epochs is not None:
            return SaveDecision(moment.epoch % self.epochs == 0, "interval", f"each {self.epochs} epochs")
        due = moment.seconds_since_save >= 60 * (self.minutes or 0)
        return SaveDecision(due, "interval", f"{moment.seconds_since_save:.0f} s since the last save")


@dataclass(frozen=True)
class AllPolicy:
    """Save at every call."""

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Always."""
        return SaveDecision(save=True, kind="all", reason="every call")
