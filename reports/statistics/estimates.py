"""Mean, standard error and interval where both seeds and groups are drawn from many that could have been."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from reports.statistics.crossed import claim_tail, crossed_parts, residual_variance, tail
from reports.statistics.scores import MIN_GROUPS, MIN_SEEDS, Matrix

_ROUNDING = 1e-9  # a standard error below this is that of the arithmetic, and says nothing of luck


@dataclass(frozen=True)
class Estimate:
    """A mean and what is known of it.

    Attributes:
        mean: over seeds and groups.
        of_seeds: what the luck of training adds to the variance of the mean; 0 with one seed, of which it is not known.
        of_groups: what the choice of groups adds; NaN with one group.
        seeds: trainings; the fewer of the two where two settings do not share them.
        groups: independent units.
    """

    mean: float
    of_seeds: float
    of_groups: float
    seeds: int
    groups: int

    @property
    def error(self) -> float:
        """Standard error; NaN where it cannot be had."""
        return math.sqrt(self.of_seeds + self.of_groups)

    @property
    def varies(self) -> bool:
        """Whether there is any spread at all, from which a standard error could be had."""
        return self.error > _ROUNDING

    @property
    def supports_claims(self) -> bool:
        """Whether there are enough groups and seeds to claim anything, or to give an interval that covers the truth."""
        return self.groups >= MIN_GROUPS and self.seeds >= MIN_SEEDS and self.varies

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval that holds the truth with this confidence; NaN where nothing may be claimed."""
        from scipy.optimize import brentq  # noqa: PLC0415 - half a second that tables need not wait

        if not self.supports_claims:
            return math.nan, math.nan
        outside, widest = (1 - confidence) / 2, 2 * self.error
        while float(tail(*self._parts(widest))) > outside:
            widest *= 2
        half = brentq(lambda away: float(tail(*self._parts(away))) - outside, 0.0, widest, xtol=1e-6 * self.error)
        return self.mean - half, self.mean + half

    def p_above_zero(self) -> float:
        """One-sided p of 'the mean is not above 0'; NaN where nothing may be claimed."""
        return float(claim_tail(*self._parts(self.mean))) if self.supports_claims else math.nan

    def _parts(self, distance: float) -> tuple[Matrix, Matrix, Matrix, tuple[float, float]]:
        parts = [np.array(value) for value in (distance, self.of_seeds, self.of_groups)]
        return parts[0], parts[1], parts[2], (self.seeds - 1, self.groups - 1)

    @classmethod
    def nothing(cls) -> Self:
        """Of no scores at all."""
        return cls(math.nan, math.nan, math.nan, 0, 0)


def estimate_mean(values: Matrix) -> Estimate:
    """Mean of a crossed table of seeds and groups, both random; see `crossed_parts`.

    Args:
        values: `(seeds, groups)` without NaN, or differences of two settings, paired over both.

    Returns:
        With one seed the error is that over groups alone; with one group there is none.

    Example:
        >>> estimate_mean(np.array([[0.5, 0.7], [0.6, 0.8]])).mean
        0.65
    """
    seeds, groups = values.shape
    if not values.size:
        return Estimate.nothing()
    if groups == 1 or seeds == 1:
        of_groups = float(values.mean(axis=0).var(ddof=1)) / groups if groups > 1 else math.nan
        return Estimate(float(values.mean()), 0.0, of_groups, seeds, groups)
    mean, of_seeds, of_groups = (float(part) for part in crossed_parts(values))
    return Estimate(mean, of_seeds, of_groups, seeds, groups)


def estimate_difference(first: Matrix, second: Matrix) -> Estimate:
    """Mean difference of two settings on the same groups, with seeds of their own.

    Each setting adds the variance of its own seeds, however noisy those of the other are; together they have the
    degrees of freedom of the one with fewer seeds, which claims rather too little. The groups add the variance of their
    paired differences, less the noise of each training that the seeds hold already.

    Args:
        first: `(seeds, groups)` without NaN.
        second: `(other seeds, groups)`.
    """
    groups, seeds = first.shape[1], min(len(first), len(second))
    differences = first.mean(axis=0) - second.mean(axis=0)
    of_groups = float(differences.var(ddof=1)) / groups if groups > 1 else math.nan
    of_seeds = 0.0
    for values in (first, second):
        if len(values) > 1 and groups > 1:
            of_seeds += float(values.mean(axis=1).var(ddof=1)) / len(values)
            of_groups -= float(residual_variance(values)) / values.size
    return Estimate(float(differences.mean()), of_seeds, max(of_groups, 0.0), seeds, groups)


def student_interval(values: Matrix, confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean of independent values `(n,)`; NaN with fewer than two."""
    from scipy.special import stdtrit  # noqa: PLC0415 - as above

    count = len(values)
    if count < 2:  # noqa: PLR2004 - of one value no spread is known
        return math.nan, math.nan
    half = float(stdtrit(count - 1, (1 + confidence) / 2) * values.std(ddof=1) / math.sqrt(count))
    return float(values.mean()) - half, float(values.mean()) + half
