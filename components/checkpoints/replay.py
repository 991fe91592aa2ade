"""What a policy would have saved of a recorded training, what that costs, and what a kill would have lost."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from components.checkpoints.policies import SaveMoment, SavePolicy, finite_metric, gain
from components.checkpoints.progress import RECENT
from components.checkpoints.record import CheckpointRecord
from components.checkpoints.replay_measures import regret_of_kept, work_at_risk
from components.checkpoints.retention import KeepPolicy, latest
from components.checkpoints.trace import Step, Trace

_BEGINNING = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Replayed:
    """What a policy did to a trace.

    A kill is thought of at a moment that is uniformly distributed over the run.

    Attributes:
        epochs: of the checkpoints written, in the order of writing.
        bytes_written: of all of them.
        bytes_kept: of those that stay at the end.
        seconds: the whole run, with what training waited for saving.
        stall_seconds: what training waited for saving.
        mean_risk: seconds of training that a kill would have lost, on average.
        max_risk: the same, at the worst moment.
        mean_regret: best metric seen so far minus that of the best checkpoint that is durable, in the metric's unit and
            never negative, averaged over the run; without any checkpoint the trace's worst metric stands for it. None
            where the trace has no metric.
        final_regret: the same at the end.
    """

    epochs: tuple[int, ...]
    bytes_written: int
    bytes_kept: int
    seconds: float
    stall_seconds: float
    mean_risk: float
    max_risk: float
    mean_regret: float | None
    final_regret: float | None

    @property
    def stall_share(self) -> float:
        """What training waited for saving, as a share of the run."""
        return self.stall_seconds / self.seconds if self.seconds else 0.0

    def row(self) -> dict[str, Any]:
        """Plain values of a table's row."""
        return {
            "saves": len(self.epochs),
            "bytes_written": self.bytes_written,
            "bytes_kept": self.bytes_kept,
            "stall_seconds": self.stall_seconds,
            "stall_share": self.stall_share,
            "mean_risk": self.mean_risk,
            "max_risk": self.max_risk,
            "mean_regret": self.mean_regret,
            "final_regret": self.final_regret,
        }


def replay(trace: Trace, policy: SavePolicy, *, keep: int | None = 5) -> Replayed:
    """Run a policy over a trace with a simulated clock, as a manager would.

    Training waits for each save as long as the trace says, and a decision waits for a write that is still under way.
    What is held is written with the next save, unless that is better, and at the end. Saves that are forced whatever
    the policy says, as by a signal or at the end, are left out: they are the same for all policies.

    Args:
        trace: the recorded training.
        policy: asked at the end of each epoch.
        keep: best checkpoints that stay beside the latest; None keeps all. It changes `bytes_kept` alone.

    Raises:
        InvalidInputError: keep is below 1.

    Example:
        >>> steps = [Step(epoch, 10.0, 0.1 * epoch, save_seconds=1.0, bytes=100) for epoch in (1, 2, 3, 4)]
        >>> result = replay(Trace(steps), IntervalPolicy(epochs=2))
        >>> result.epochs, result.bytes_written, result.stall_seconds, result.max_risk
        ((2, 4), 200, 2.0, 20.0)
    """
    run = _Run(trace, KeepPolicy(trace.monitor, trace.mode, keep))
    for step in trace.steps:
        run.train(step)
        decision = policy.decide(run.moment(step))
        if decision.save:
            run.save(step)
        elif decision.hold:
            run.hold(step)
    return run.finish()


def compare_policies(trace: Trace, policies: Mapping[str, SavePolicy], *, keep: int | None = 5) -> list[dict[str, Any]]:
    """A row a policy: its name as `policy`, and what `Replayed.row` says.

    Example:
        >>> [row["saves"] for row in compare_policies(trace, {"best": BestPolicy("val_dice")})]  # doctest: +SKIP
        [7]
    """
    return [{"policy": name, **replay(trace, policy, keep=keep).row()} for name, policy in policies.items()]


class _Run:
    """The state of a replay: its clock, what is written, what is held."""

    def __init__(self, trace: Trace, keep: KeepPolicy) -> None:
        self._trace, self._keep = trace, keep
        self._now = self._trained = self._stall = self._saved_at = self._durable_at = 0.0
        self._costs: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._records: list[CheckpointRecord] = []
        self._steps: dict[int, Step] = {}  # those that were written
        self._held: tuple[Step, float] | None = None  # with the training behind it
        self._best_seen: float | None = None
        self._since_gain = 0
        self._progress = [(0.0, 0.0)]  # of the clock and the training
        self._durable: list[tuple[float, float, float | None]] = []  # clock, training behind it, metric
        self._seen: list[tuple[float, float | None]] = []  # clock, metric

    def train(self, step: Step) -> None:
        """An epoch goes by; then a write that is under way is waited for."""
        self._trained += step.seconds
        self._wait(step.seconds, stalled=False)
        value = self._value(step)
        self._since_gain += 1
        if value is not None and gain(value, self._best_seen, self._trace.mode) > 0:
            self._best_seen, self._since_gain = value, 0
        self._seen.append((self._now, value))
        self._wait(max(0.0, self._durable_at - self._now))

    def moment(self, step: Step) -> SaveMoment:
        """What a manager would tell its policy."""
        ranked = self._keep.ranked(self._records)
        metrics = {} if step.metric is None else {self._trace.monitor: step.metric}
        noise = {} if step.standard_error is None else {f"{self._trace.monitor}_se": step.standard_error}
        return SaveMoment(
            epoch=step.epoch,
            metrics=metrics | noise,
            best=self._value(self._steps[ranked[0].epoch]) if ranked else None,
            last_epoch=latest(self._records).epoch if self._records else -1,
            seconds_since_save=self._now - self._saved_at,
            save_seconds=median(cost for cost, _ in self._costs) if self._costs else 0.0,
            persist_seconds=median(cost for _, cost in self._costs) if self._costs else 0.0,
            epochs_since_gain=self._since_gain,
            cases=step.cases,
            best_cases=self._steps[ranked[0].epoch].cases if ranked else None,
            held=self._value(self._held[0]) if self._held else None,
        )

    def save(self, step: Step) -> None:
        """Write these weights, and what is held if it is better."""
        self._write(step, self._trained, step.save_seconds)
        self._costs.append((step.save_seconds, step.persist_seconds))
        value = self._value(step)
        if self._held and (value is None or gain(value, self._value(self._held[0]), self._trace.mode) <= 0):
            self._write_held()
        self._held = None
        self._saved_at = self._now

    def hold(self, step: Step) -> None:
        """Copy these weights in place of what is held."""
        self._held = (step, self._trained)
        self._wait(step.copy_seconds)

    def finish(self) -> Replayed:
        """Write what is held, wait for it, and measure."""
        if self._held:
            self._write_held()
        self._wait(max(0.0, self._durable_at - self._now))
        mean_risk, max_risk = work_at_risk(self._progress, [(clock, trained) for clock, trained, _ in self._durable])
        mean_regret, final_regret = regret_of_kept(
            self._seen, [(clock, value) for clock, _, value in self._durable], end=self._now, mode=self._trace.mode
        )
        return Replayed(
            epochs=tuple(self._steps),
            bytes_written=sum(step.bytes for step in self._steps.values()),
            bytes_kept=sum(record.bytes for record in self._records),
            seconds=self._now,
            stall_seconds=self._stall,
            mean_risk=mean_risk,
            max_risk=max_risk,
            mean_regret=mean_regret,
            final_regret=final_regret,
        )

    def _wait(self, seconds: float, *, stalled: bool = True) -> None:
        self._now += seconds
        self._stall += seconds if stalled else 0.0
        self._progress.append((self._now, self._trained))

    def _write_held(self) -> None:
        """The copy was paid for when it was taken."""
        if self._held:
            step, trained = self._held
            self._write(step, trained, max(0.0, step.save_seconds - step.copy_seconds))

    def _write(self, step: Step, trained: float, blocking: float) -> None:
        begun = max(self._now, self._durable_at)
        self._durable_at = begun + max(blocking, step.persist_seconds)
        self._wait(blocking)
        self._durable.append((self._durable_at, trained, self._value(step)))
        self._steps[step.epoch] = step
        metrics = {self._trace.monitor: step.metric}
        path = Path(f"epoch_{step.epoch}")
        self._records.append(CheckpointRecord(path, "", step.epoch, None, metrics, "", _BEGINNING, {}, "", step.bytes))
        self._records = self._keep.select(self._records)

    def _value(self, step: Step) -> float | None:
        return finite_metric({self._trace.monitor: step.metric}, self._trace.monitor)
