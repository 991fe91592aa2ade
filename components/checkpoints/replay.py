"""What other policies would have written, cost and kept on a training that was recorded."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from components.checkpoints.decisions import Decision
from components.checkpoints.policies import Metric, SaveMoment, SavePolicy, gain
from components.errors import InvalidInputError


@dataclass(frozen=True)
class TraceStep:
    """One epoch of a recorded training.

    Attributes:
        epoch: its number.
        seconds: of training and validation.
        metric: monitored metric; None where it was no finite number.
        standard_error: of its gain over the best before; None where unknown.
        cases: score of each case, where they were recorded.
    """

    epoch: int
    seconds: float
    metric: float | None
    standard_error: float | None = None
    cases: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Trace:
    """A recorded training, and what a save cost in it.

    Attributes:
        steps: its epochs, in order.
        save_seconds: for which a save held training up.
        bytes: of a checkpoint.
        persist_seconds: after which it was durable.
        monitor: name of the metric.
        mode: whether more of it is better.

    Raises:
        InvalidInputError: there is no epoch, or a cost is negative.
    """

    steps: Sequence[TraceStep]
    save_seconds: float
    bytes: int
    persist_seconds: float = 0.0
    monitor: str = "val_dice"
    mode: Metric = "max"

    def __post_init__(self) -> None:
        if not self.steps or self.save_seconds < 0 or self.bytes < 0 or any(step.seconds < 0 for step in self.steps):
            raise InvalidInputError("a trace needs at least one epoch, and no cost or time below 0.")


@dataclass(frozen=True)
class Replayed:
    """What a policy came to.

    Attributes:
        saves: checkpoints written.
        bytes: written.
        stall_seconds: for which training was held up.
        stall_share: of the whole time.
        risk_mean: seconds of training that a kill at a random moment would cost, on average.
        risk_max: the same at the worst moment.
        regret_mean: by how much the best metric seen was better than the best saved, averaged over the epochs.
        regret_end: the same at the end.
    """

    saves: int
    bytes: int
    stall_seconds: float
    stall_share: float
    risk_mean: float
    risk_max: float
    regret_mean: float
    regret_end: float


def trace_of(decisions: Sequence[Decision], *, monitor: str = "val_dice", mode: Metric = "max") -> Trace:
    """The trace of a training from its log of decisions.

    Where an epoch was trained again after a kill, the later line counts.

    Raises:
        InvalidInputError: no epoch was saved, so that it is not known what a save costs.
    """
    last = {decision.epoch: decision for decision in decisions if decision.epoch_seconds is not None}
    saves = [decision for decision in decisions if decision.save and decision.seconds is not None and decision.bytes]
    if not saves:
        raise InvalidInputError("nothing was saved in this log, so it does not say what a save costs.")
    cost = median(decision.seconds or 0.0 for decision in saves)
    steps = [
        TraceStep(epoch, decision.epoch_seconds or 0.0, decision.metric, decision.inputs.get("standard_error"))
        for epoch, decision in sorted(last.items())
    ]
    size = round(median(decision.bytes or 0 for decision in saves))
    return Trace(steps, cost, size, persist_seconds=cost, monitor=monitor, mode=mode)


def replay(trace: Trace, policy: SavePolicy) -> Replayed:
    """Let a policy decide again, epoch after epoch, by a clock that training and saving move on.

    What is held in memory is written with the next save, unless that one is better, and at the end.
    """
    run = _Run(trace)
    for step in trace.steps:
        run.train(step)
        decision = policy.decide(run.moment(step))
        if decision.save:
            run.save(step)
        elif decision.hold:
            run.held = step
        run.look()
    run.write_held()
    return run.outcome()


def compare_policies(trace: Trace, policies: Mapping[str, SavePolicy]) -> dict[str, Replayed]:
    """Replay each policy, by its name."""
    return {name: replay(trace, policy) for name, policy in policies.items()}


class _Run:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.held: TraceStep | None = None
        self._best: TraceStep | None = None  # saved
        self._seen: float | None = None
        self._since_gain = self._saves = 0
        self._last_epoch = -1
        self._now = self._saved_at = self._stall = self._trained = 0.0
        self._gaps: list[float] = []  # of training time, from save to save
        self._gap = 0.0
        self._regrets: list[float] = []

    def train(self, step: TraceStep) -> None:
        self._now += step.seconds
        self._trained += step.seconds
        self._gap += step.seconds
        self._since_gain += 1
        if step.metric is not None and self._gain(step.metric, self._seen) > 0:
            self._seen, self._since_gain = step.metric, 0

    def moment(self, step: TraceStep) -> SaveMoment:
        trace, best = self._trace, self._best
        error = {} if step.standard_error is None else {f"{trace.monitor}_se": step.standard_error}
        return SaveMoment(
            epoch=step.epoch,
            metrics={trace.monitor: step.metric, **error},
            best=None if best is None else best.metric,
            last_epoch=self._last_epoch,
            seconds_since_save=self._now - self._saved_at,
            save_seconds=trace.save_seconds if self._saves else 0.0,
            persist_seconds=trace.persist_seconds if self._saves else 0.0,
            epochs_since_gain=self._since_gain,
            cases=step.cases,
            best_cases=None if best is None else best.cases,
            held=None if self.held is None else self.held.metric,
        )

    def save(self, step: TraceStep) -> None:
        held, self.held = self.held, None
        if held is not None and (step.metric is None or self._gain(step.metric, held.metric) <= 0):
            self._write(held)
        self._write(step)
        self._last_epoch = step.epoch
        self._gaps.append(self._gap)
        self._gap, self._saved_at = 0.0, self._now

    def look(self) -> None:
        """Take note of how far the best saved is behind the best seen."""
        if self._seen is not None:
            saved = None if self._best is None else self._best.metric
            behind = self._gain(self._seen, saved) if saved is not None else abs(self._seen)
            self._regrets.append(max(behind, 0.0))

    def write_held(self) -> None:
        held, self.held = self.held, None
        if held is not None:
            self._write(held)
            self._regrets.append(0.0)

    def outcome(self) -> Replayed:
        gaps = [*self._gaps, self._gap]
        return Replayed(
            saves=self._saves,
            bytes=self._saves * self._trace.bytes,
            stall_seconds=self._stall,
            stall_share=self._stall / self._now if self._now else 0.0,
            risk_mean=sum(gap**2 for gap in gaps) / 2 / self._trained if self._trained else 0.0,
            risk_max=max(gaps),
            regret_mean=sum(self._regrets) / len(self._regrets) if self._regrets else 0.0,
            regret_end=self._regrets[-1] if self._regrets else 0.0,
        )

    def _write(self, step: TraceStep) -> None:
        self._saves += 1
        self._stall += self._trace.save_seconds
        self._now += self._trace.save_seconds
        if step.metric is not None and self._gain(step.metric, None if self._best is None else self._best.metric) > 0:
            self._best = step

    def _gain(self, value: float, best: float | None) -> float:
        return gain(value, best, self._trace.mode)


def equal_bytes_interval(trace: Trace, limit: int) -> int:
    """The largest interval of epochs whose checkpoints take at least as many bytes as `limit`."""
    epochs = [step.epoch for step in trace.steps]
    for interval in itertools.count(max(len(epochs), 1), -1):
        if interval == 1 or sum(epoch % interval == 0 for epoch in epochs) * trace.bytes >= limit:
            return interval
    raise AssertionError  # counting down ends at 1
