"""Bounds on what a trial achieves: a setting that breaks one is infeasible, however good its Dice."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.errors import SpaceError

_FORM = re.compile(r"\s*([A-Za-z_][\w .-]*?)\s*(>=|<=|≥|≤)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
_AT_LEAST = (">=", "≥")


@dataclass(frozen=True)
class Constraint:
    """A metric that must be at least, or at most, a number.

    Args:
        metric: Name of a recorded metric; in text, blanks and capitals do not matter.
        relation: ``>=`` or ``<=``.
        bound: The number.

    Example:
        >>> Constraint.parse("worst class Dice >= 0.6")
        Constraint(metric='worst_class_dice', relation='>=', bound=0.6)
    """

    metric: str
    relation: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> "Constraint":
        """Read a bound as it stands in a study file.

        Raises:
            SpaceError: If it does not read as one.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise SpaceError(f"{text!r} is no bound. Hint: write metric >= number, as worst class Dice >= 0.6.")
        metric = re.sub(r"\s+", "_", match[1]).lower()
        return cls(metric, ">=" if match[2] in _AT_LEAST else "<=", float(match[3]))

    def violation(self, metrics: Mapping[str, float]) -> float:
        """By how much the bound is missed; 0 or less where it is kept, infinite where the metric is not recorded.

        Example:
            >>> round(Constraint("val_dice", ">=", 0.6).violation({"val_dice": 0.5}), 3)
            0.1
        """
        value = metrics.get(self.metric, float("nan"))
        if value != value:  # noqa: PLR0124 - NaN, as of a class that no case has, shows nothing good
            return float("inf")
        return self.bound - value if self.relation == ">=" else value - self.bound

    def describe(self, metrics: Mapping[str, float]) -> str:
        """Say what was measured beside what is asked for."""
        value = metrics.get(self.metric)
        found = "was not recorded" if value is None else f"{value:.4g}"
        return f"{self.metric} {found}, must be {self.relation} {self.bound:g}"
