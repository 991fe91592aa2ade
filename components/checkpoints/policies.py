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
        save_seconds: how long training waits for a save, as measured.
        persist_seconds: from the copy of the state until it is durable, as measured.
        epochs_since_gain: epochs since the monitored metric was last better than ever before; 0 in that epoch.
        cases: score of these weights on each case, by its name.
        best_cases: the same of the best checkpoint so far.
        held: monitored metric of a copy that is held in memory and not yet written, or None.
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
        save: write these weights now.
        kind: what for.
        reason: in words.
        hold: instead keep a copy in memory as the best so far; it is written with the next save, and at the end.
        inputs: the numbers that decided, as JSON has them.
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
            reason = f"{self.monitor} is no number: found {found}"
            return SaveDecision(save=False, kind="best", reason=reason, inputs={"value": None, "best": moment.best})
        gained = gain(value, moment.best, self.mode)
        better = gained > 0 or (gained == 0 and moment.wins_tie)
        reason = f"{self.monitor} {value:g}, best so far {'none' if moment.best is None else format(moment.best, 'g')}"
        return SaveDecision(better, "best", reason, inputs={"value": value, "best": moment.best})


@dataclass(frozen=True)
class EpochPolicy:
    """Save at each epoch's end; a second call within the epoch does not save again."""

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Whether a new epoch has ended."""
        inputs = {"epoch": moment.epoch, "last_epoch": moment.last_epoch}
        return SaveDecision(moment.epoch > moment.last_epoch, "epoch", f"end of epoch {moment.epoch}", inputs=inputs)


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
            due, inputs = moment.epoch % self.epochs == 0, {"epoch": moment.epoch, "epochs": self.epochs}
            return SaveDecision(due, "interval", f"each {self.epochs} epochs", inputs=inputs)
        since, minutes = moment.seconds_since_save, self.minutes or 0
        return SaveDecision(
            since >= 60 * minutes,
            "interval",
            f"{since:.0f} s since the last save",
            inputs={"seconds_since_save": since, "minutes": minutes},
        )


@dataclass(frozen=True)
class AllPolicy:
    """Save at every call."""

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Always."""
        return SaveDecision(save=True, kind="all", reason="every call", inputs={"epoch": moment.epoch})
