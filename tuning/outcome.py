"""What a trial achieved, as the sampler is told: its objectives, and which constraints it breaks."""

from dataclasses import dataclass

from search_spaces.constraints import Constraint
from tuning.config import SearchConfig
from tuning.objective import OBJECTIVE
from tuning.record import Journal, StudyDirectory, TrialEntry

_CLASS_DICE = f"{OBJECTIVE}_"


@dataclass(frozen=True)
class Outcome:
    """What is told of a trial beside its best Dice.

    Attributes:
        others: values of the objectives after the Dice, in order; None where one was not recorded.
        violations: by how much each constraint is missed, by metric.
        infeasible: the constraints that are broken, in words.
    """

    others: list[float] | None
    violations: dict[str, float]
    infeasible: list[str]


class Judge:
    """Measures trials against the study's objectives and constraints.

    Args:
        directory: study directory.
        search: names objectives and constraints.
    """

    def __init__(self, directory: StudyDirectory, search: SearchConfig) -> None:
        self._directory = directory
        self._constraints = [Constraint.parse(text) for text in search.constraints]
        self._others = [name for name in search.objectives if name != OBJECTIVE]

    def judge(self, entry: TrialEntry) -> Outcome:
        """Measure a trial at its best epoch."""
        if not (self._constraints or self._others):
            return Outcome([], {}, [])
        metrics = self._measure(entry)
        others = [metrics[name.lower()] for name in self._others if name.lower() in metrics]
        violations = {constraint.metric: constraint.violation(metrics) for constraint in self._constraints}
        broken = [c.describe(metrics) for c in self._constraints if violations[c.metric] > 0]
        return Outcome(others if len(others) == len(self._others) else None, violations, broken)

    def _measure(self, entry: TrialEntry) -> dict[str, float]:
        """Numbers of the best epoch's row, in small letters; the worst class, and the seconds of the whole trial."""
        rows = self._directory.trial(entry.number).epochs()
        if entry.best is None or entry.best[0] not in rows:
            return {}
        numbers = {name.lower(): float(v) for name, v in rows[entry.best[0]].items() if isinstance(v, int | float)}
        of_classes = [value for name, value in numbers.items() if name.startswith(_CLASS_DICE)]
        seconds = [float(row["seconds"]) for row in rows.values() if "seconds" in row]
        if of_classes:
            numbers["worst_class_dice"] = min(of_classes)
        if seconds:
            numbers |= {"seconds": sum(seconds), "seconds_per_epoch": sum(seconds) / len(seconds)}
        return numbers


def tell_end(journal: Journal, judge: Judge, number: int) -> None:
    """Tell the sampler how a trial ended whose stop is noted."""
    outcome = judge.judge(journal.entry(number))
    journal.finish(number, others=outcome.others, violations=outcome.violations, infeasible=outcome.infeasible)
