"""How far a mean of groups may be off, since other groups would have given another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.errors import InvalidInputError


@dataclass(frozen=True)
class GroupMean:
    """A mean over independent groups.

    Attributes:
        mean: over the groups.
        low: lower end of the interval; NaN with fewer than two groups.
        high: upper end.
        groups: how many hold a value.
    """

    mean: float
    low: float
    high: float
    groups: int


def mean_over_groups(per_case: npt.NDArray[np.float64], groups: Sequence[str], confidence: float = 0.95) -> GroupMean:
    """Mean of a metric with Student's interval over the groups, which are what is independent.

    A case is the mean of its classes, a group that of its cases. The network is taken as given: the luck of its
    training is not in the interval. Its ends may lie outside the metric's range.

    Args:
        per_case: `(cases, classes)`; NaN where undefined.
        groups: patient, specimen or the like of each case.
        confidence: of the interval.

    Raises:
        InvalidInputError: nothing is defined, or there is not one group a case.

    Example:
        >>> found = mean_over_groups(np.array([[0.7], [0.9], [0.6]]), ["a", "a", "b"])
        >>> round(found.mean, 3), found.groups
        (0.7, 2)
    """
    from scipy.stats import t  # noqa: PLC0415 - half a second that who wants no interval need not wait

    if len(groups) != len(per_case):
        raise InvalidInputError(f"groups: found {len(groups)} for {len(per_case)} cases; expected one a case.")
    defined = ~np.isnan(per_case)
    has_value = defined.any(axis=1)
    if not has_value.any():
        raise InvalidInputError("a mean over groups: no case has a value. Hint: is every class absent?")
    cases = np.where(defined, per_case, 0.0).sum(axis=1)[has_value] / defined.sum(axis=1)[has_value]
    names = np.asarray(groups, dtype=object)[has_value]
    values = np.array([cases[names == name].mean() for name in dict.fromkeys(names)])
    mean, count = float(values.mean()), len(values)
    half = (
        float(t.ppf((1 + confidence) / 2, count - 1) * values.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    )
    return GroupMean(mean, mean - half, mean + half, count)
