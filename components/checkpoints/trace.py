"""A recorded training as a replay needs it: how long each epoch took, what came of it, what saving it costs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any, Self

from components.checkpoints.policies import Metric, finite_metric
from components.errors import InvalidInputError
from components.save_decisions import Decision


@dataclass(frozen=True)
class Step:
    """An epoch of a trace.

    Attributes:
        epoch: its number.
        seconds: of training and validation, without saving.
        metric: the monitored one; may be NaN, None where it was missing.
        save_seconds: how long training waits if this epoch is saved.
        persist_seconds: from the copy until that checkpoint is durable; at least as long as training waits.
        bytes: of that checkpoint.
        hold_seconds: how long training waits for a copy that is only held; None: as long as for a save.
        cases: score of each case by its name.
        standard_error: of the metric, where the cases are not known.

    Raises:
        InvalidInputError: a time or a size is negative or not finite.
    """

    epoch: int
    seconds: float
    metric: float | None
    save_seconds: float
    persist_seconds: float = 0.0
    bytes: int = 0
    hold_seconds: float | None = None
    cases: Mapping[str, float] | None = None
    standard_error: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "save_seconds", "persist_seconds", "bytes", "hold_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InvalidInputError(f"epoch {self.epoch}: {name}: found {value}, must be finite and not negative.")

    @property
    def copy_seconds(self) -> float:
        """How long training waits for a copy that is only held."""
        return self.save_seconds if self.hold_seconds is None else self.hold_seconds


@dataclass(frozen=True)
class Trace:
    """The epochs of a training, in order.

    Attributes:
        steps: at least one, each of a later epoch than the one before.
        monitor: name of the metric.
        mode: `max` or `min`.

    Raises:
        InvalidInputError: there is no step, epochs do not increase, or the mode is unknown.

    Example:
        >>> trace = Trace.from_rows([{"epoch": 1, "seconds": 9.0, "val_dice": 0.5}], save_seconds=0.1)
        >>> trace.steps[0].metric
        0.5
    """

    steps: Sequence[Step]
    monitor: str = "val_dice"
    mode: Metric = "max"

    def __post_init__(self) -> None:
        if not self.steps:
            raise InvalidInputError("a trace needs at least one epoch. Hint: has the training reported any yet?")
        if self.mode not in ("min", "max"):
            raise InvalidInputError(f"mode: found {self.mode!r}; use 'min' or 'max'.")
        epochs = [step.epoch for step in self.steps]
        if any(later <= earlier for earlier, later in pairwise(epochs)):
            raise InvalidInputError(f"a trace's epochs must increase; found {epochs}.")

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Mapping[str, Any]],
        *,
        save_seconds: float,
        persist_seconds: float = 0.0,
        bytes: int = 0,  # noqa: A002 - as everywhere here
        monitor: str = "val_dice",
        mode: Metric = "max",
    ) -> Self:
        """A trace of an epochs' table, each save at the same cost.

        Args:
            rows: with `epoch`, `seconds`, the metric and perhaps `<monitor>_se`; of an epoch that was trained twice the
                later row counts.
            save_seconds: how long training waits for a save.
            persist_seconds: until one is durable.
            bytes: of a checkpoint.
            monitor: name of the metric.
            mode: `max` or `min`.

        Raises:
            InvalidInputError: a row lacks its epoch or seconds, or there is none.
        """
        steps: dict[int, Step] = {}
        for row in rows:
            try:
                epoch, seconds = int(row["epoch"]), float(row["seconds"])
            except (KeyError, TypeError, ValueError) as error:
                raise InvalidInputError(f"a row needs epoch and seconds; found {sorted(row)}.") from error
            metric, noise = finite_metric(row, monitor), finite_metric(row, f"{monitor}_se")
            steps[epoch] = Step(epoch, seconds, metric, save_seconds, persist_seconds, bytes, standard_error=noise)
        return cls([steps[epoch] for epoch in sorted(steps)], monitor, mode)

    @classmethod
    def from_decisions(
        cls,
        decisions: Iterable[Decision],
        *,
        monitor: str = "val_dice",
        mode: Metric = "max",
        save_seconds: float | None = None,
        bytes: int | None = None,  # noqa: A002 - as everywhere here
    ) -> Self:
        """A trace of a log. An epoch that was not saved would have cost the median of those that were.

        Args:
            decisions: of one training; of an epoch that was trained twice, as after a kill, the later one counts. One
                without training time, as of a save at the end, only tells costs.
            monitor: name of the metric.
            mode: `max` or `min`.
            save_seconds: of every save, in place of what was measured.
            bytes: the same.

        Raises:
            InvalidInputError: nothing was saved and no cost is given, or there is no decision with training time.
        """
        decisions = list(decisions)
        saves = [decision for decision in decisions if decision.path]
        if not saves and save_seconds is None:
            raise InvalidInputError("nothing was saved here, so a save's cost is not known. Hint: give save_seconds.")
        usual = _usual(saves, [decision for decision in decisions if decision.hold], save_seconds, bytes)
        measured: dict[int, Step] = {}
        if save_seconds is None and bytes is None:
            measured = {
                d.epoch: replace(usual, save_seconds=d.seconds, persist_seconds=d.persist_seconds, bytes=d.bytes)
                for d in saves
            }
        steps = {d.epoch: _step(d, measured.get(d.epoch, usual)) for d in decisions if d.epoch_seconds > 0}
        return cls([steps[epoch] for epoch in sorted(steps)], monitor, mode)

    def slower(self, factor: float) -> Self:
        """The same training with epochs that take so many times as long, at the same costs of saving."""
        return replace(self, steps=[replace(step, seconds=factor * step.seconds) for step in self.steps])


def _usual(saves: Sequence[Decision], copies: Sequence[Decision], save_seconds: float | None, size: int | None) -> Step:
    """What an epoch costs that was not saved."""
    return Step(
        epoch=0,
        seconds=0.0,
        metric=None,
        save_seconds=median([d.seconds for d in saves]) if save_seconds is None else save_seconds,
        persist_seconds=median([d.persist_seconds for d in saves]) if saves else 0.0,
        bytes=int(size if size is not None else median([d.bytes for d in saves]) if saves else 0),
        hold_seconds=median([d.seconds for d in copies]) if copies else None,
    )


def _step(decision: Decision, costs: Step) -> Step:
    return replace(
        costs,
        epoch=decision.epoch,
        seconds=decision.epoch_seconds,
        metric=decision.metric,
        cases=decision.cases,
        standard_error=decision.inputs.get("standard_error"),
    )
