"""Ends a whole study: when its section `stop` says so, or when its first trials all fail for the same reason."""

import time
from bisect import insort
from typing import Any

from tuning.attempts import seconds_so_far
from tuning.config import StudyConfig
from tuning.engine import StopFlag
from tuning.failures import same_reason
from tuning.listener import Listener
from tuning.objective import OBJECTIVE
from tuning.record import StudyDirectory, TrialEntry, trial_label

_HOUR_S, _MINUTE_S = 3600, 60


class StopRules(Listener):
    """Hears what is recorded, and sets the stop flag with a reason once a rule is met.

    What it counts is taken from the record, so that a resumed study ends where an uninterrupted one would.

    Args:
        config: of the study.
        directory: for the time of earlier attempts and the cost of earlier epochs.
        entries: the trials so far.
        stop: set with the reason.
        told: hears of the stop.
    """

    def __init__(
        self,
        config: StudyConfig,
        directory: StudyDirectory,
        entries: list[TrialEntry],
        stop: StopFlag,
        told: Listener,
    ) -> None:
        self._rules, self._stop, self._told = config.stop, stop, told
        self._judged = bool(config.search.constraints)  # whether a Dice counts is known when its trial has ended
        self._cpus = config.resources.cpus_per_trial
        self._last_fold = config.budget - config.training.epochs  # before it, a mean over folds is not the trial's
        self._started, self._seconds_before = time.monotonic(), seconds_so_far(directory)
        self._epochs = {entry.number: max(entry.dice, default=0) for entry in entries}
        self._cost = sum(self._recorded_seconds(directory, entry.number) for entry in entries)
        self._reached = next((reached for entry in entries if (reached := self._reach(entry))), "")
        self._drawn: list[tuple[int, float]] = []
        self._reasons: set[str] = set()
        self._failed, self._succeeded = 0, False
        for entry in entries:
            self._count_end(entry)

    def check(self) -> None:
        """Set the flag if a rule is met; failures count only once one has been heard of, since code may be mended."""
        reason = (
            self._reached or self._check_epochs() or self._check_cost() or self._check_time() or self._check_plateau()
        )
        if reason:
            self._end(reason)

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """Count an epoch."""
        epoch, dice, target = row["epoch"], row[OBJECTIVE], self._rules.dice
        self._epochs[number] = max(epoch, self._epochs.get(number, 0))
        self._cost += row["seconds"]
        if target is not None and not self._judged and epoch > self._last_fold and dice >= target:
            self._reached = self._describe_target(number, epoch, dice)
        self.check()

    def trial_ended(self, entry: TrialEntry) -> None:
        """Count an end."""
        self._count_end(entry)
        if self._judged and entry.state != "running":
            self._reached = self._reached or self._reach(entry)
        if entry.state == "failed" and self._all_failed_alike():
            self._end(f"stop.same_failures: all {self._failed} trials failed ({entry.failure}): {entry.cause}")
        self.check()

    def tick(self) -> None:
        """Look at the clock."""
        if reason := self._check_time():
            self._end(reason)

    def _all_failed_alike(self) -> bool:
        wanted = self._rules.same_failures
        return 0 < wanted <= self._failed and len(self._reasons) == 1 and not self._succeeded

    def _end(self, reason: str) -> None:
        if not self._stop.is_set:
            self._stop.set(reason)
            self._told.stopping(reason)

    def _count_end(self, entry: TrialEntry) -> None:
        if entry.state == "failed":
            self._failed += 1
            self._reasons.add(f"{entry.failure} {same_reason(entry.cause)}")
        elif entry.state != "running":
            self._succeeded = True
            if entry.number >= 0 and entry.best:
                insort(self._drawn, (entry.number, -1.0 if entry.infeasible else entry.best[1]))

    def _recorded_seconds(self, directory: StudyDirectory, number: int) -> float:
        if self._rules.cpu_hours is None:
            return 0.0
        return sum(float(row["seconds"]) for row in directory.trial(number).epochs().values())

    def _reach(self, entry: TrialEntry) -> str:
        if self._rules.dice is None or entry.best is None or entry.state == "failed" or entry.infeasible:
            return ""
        if self._judged and entry.state == "running":
            return ""
        epoch, dice = entry.best
        met = epoch > self._last_fold and dice >= self._rules.dice
        return self._describe_target(entry.number, epoch, dice) if met else ""

    def _describe_target(self, number: int, epoch: int, dice: float) -> str:
        return f"stop.dice: {trial_label(number)} reached {dice:.4f} at epoch {epoch}, {self._rules.dice:g} is enough"

    def _check_epochs(self) -> str:
        most = self._rules.epochs
        if most is None or (trained := sum(self._epochs.values())) < most:
            return ""
        return f"stop.epochs: {trained} epochs are trained, of {most}"

    def _check_cost(self) -> str:
        most, hours = self._rules.cpu_hours, self._cost * self._cpus / _HOUR_S
        return "" if most is None or hours < most else f"stop.cpu_hours: {hours:.3g} are used, of {most:g}"

    def _check_time(self) -> str:
        most = self._rules.minutes
        minutes = (self._seconds_before + time.monotonic() - self._started) / _MINUTE_S
        return "" if most is None or minutes < most else f"stop.minutes: {most:.4g} minutes are over"

    def _check_plateau(self) -> str:
        if self._rules.plateau is None:
            return ""
        best, holder, since = -1.0, 0, 0
        for number, dice in self._drawn:
            since += 1
            if dice > best + self._rules.min_gain or best < 0:
                best, holder, since = dice, number, 0
        if since < self._rules.plateau:
            return ""
        return f"stop.plateau: {since} trials since trial {holder} brought no gain over its Dice {best:.4f}"
