"""Mean, standard error and interval where both seeds and groups are drawn from many that could have been."""

import math
from dataclasses import dataclass
from typing import Self

from reports.statistics.scores import Matrix

MIN_GROUPS = 6  # below, no claim: the fewest pairs of which all one way give p < 0.05 in a two-sided sign test
MIN_SEEDS = 2  # below, nothing is known of the luck of training


@dataclass(frozen=True)
class Estimate:
    """A mean and what is known of it.

    Attributes:
        mean: over seeds and groups.
        error: standard error; NaN where it cannot be had.
        freedom: degrees of freedom of that error.
        seeds: trainings; 1 means that the error knows nothing of the luck of training.
        groups: independent units.
    """

    mean: float
    error: float
    freedom: float
    seeds: int
    groups: int

    @property
    def supports_claims(self) -> bool:
        """Whether there are enough groups and seeds to claim anything."""
        return self.groups >= MIN_GROUPS and self.seeds >= MIN_SEEDS and not math.isnan(self.error)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval by Student's t; NaN where there is no standard error."""
        from scipy.stats import t  # noqa: PLC0415 - half a second that tables need not wait

        if math.isnan(self.error):
            return math.nan, math.nan
        half = float(t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.mean - half, self.mean + half

    def p_above_zero(self) -> float:
        """One-sided p of 'the mean is not above 0'; NaN where there is no standard error."""
        from scipy.stats import t  # noqa: PLC0415 - as above

        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return 0.0 if self.mean > 0 else 1.0
        return float(t.sf(self.mean / self.error, self.freedom))

    @classmethod
    def nothing(cls) -> Self:
        """Of no scores at all."""
        return cls(math.nan, math.nan, math.nan, 0, 0)


def estimate_mean(values: Matrix) -> Estimate:
    """Mean of a crossed table of seeds and groups, both random.

    With x[s, g] = µ + a[s] + b[g] + e[s, g] the variance of the mean is σ²_a/S + σ²_b/G + σ²_e/(SG). The components are
    those of the two-way analysis of variance without replication, none taken below 0; degrees of freedom follow
    Satterthwaite. Averaging over seeds first would forget that other seeds give other means; over groups, that other
    patients do.

    Args:
        values: `(seeds, groups)` without NaN, or differences of two settings, paired over both.

    Returns:
        With one seed the error is that over groups alone; with one group there is none.

    Sources: S. R. Searle, G. Casella, C. E. McCulloch, Variance Components (1992), chapter 4; F. E. Satterthwaite, An
        approximate distribution of estimates of variance components (Biometrics Bulletin 2, 1946).

    Example:
        >>> estimate_mean(np.array([[0.5, 0.7], [0.6, 0.8]])).mean
        0.65
    """
    seeds, groups = values.shape
    if not values.size:
        return Estimate.nothing()
    mean = float(values.mean())
    if groups == 1:
        return Estimate(mean, math.nan, math.nan, seeds, groups)
    of_groups = float(values.mean(axis=0).var(ddof=1)) * seeds
    if seeds == 1:
        return Estimate(mean, math.sqrt(of_groups / groups), groups - 1, seeds, groups)
    of_seeds = float(values.mean(axis=1).var(ddof=1)) * groups
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + mean
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (groups - 1))
    squares, freedom = _combined([(of_seeds, seeds - 1), (of_groups, groups - 1)], of_rest, (seeds - 1) * (groups - 1))
    return Estimate(mean, math.sqrt(squares / values.size), freedom, seeds, groups)


def estimate_difference(first: Matrix, second: Matrix) -> Estimate:
    """Mean difference of two settings on the same groups, with seeds of their own.

    The variance over groups is that of the paired differences; each setting adds that of its seeds.

    Args:
        first: `(seeds, groups)` without NaN.
        second: `(other seeds, groups)`.
    """
    groups, seeds = first.shape[1], min(len(first), len(second))
    over_groups = estimate_mean(first.mean(axis=0, keepdims=True) - second.mean(axis=0, keepdims=True))
    parts = [(over_groups.error**2, over_groups.freedom)]
    for values in (first, second):
        if len(values) > 1 and groups > 1:
            own = values.mean(axis=1).var(ddof=1) / len(values)
            rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
            noise = float((rest**2).sum()) / ((len(values) - 1) * (groups - 1)) / values.size
            parts.append((max(float(own) - noise, 0.0), len(values) - 1))
    variance = sum(part for part, _ in parts)
    spread = sum(part**2 / freedom for part, freedom in parts)
    freedom = variance**2 / spread if spread > 0 else over_groups.freedom
    return Estimate(over_groups.mean, math.sqrt(variance), freedom, seeds, groups)


def _combined(parts: list[tuple[float, int]], rest: float, rest_freedom: int) -> tuple[float, float]:
    """Sum of the mean squares that exceed the rest's, less what they count twice, and its degrees of freedom."""
    above = [(square, freedom) for square, freedom in parts if square > rest]
    if not above:
        return rest, rest_freedom
    squares = sum(square for square, _ in above) - rest * (len(above) - 1)
    spread = sum(square**2 / freedom for square, freedom in above)
    spread += rest**2 / rest_freedom * (len(above) - 1)
    return squares, squares**2 / spread
