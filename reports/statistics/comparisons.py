"""Settings against the baseline and among each other, paired, and corrected for how many are compared."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from reports.statistics.crossed import Floats
from reports.statistics.estimates import Estimate, estimate_difference, estimate_mean
from reports.statistics.scores import GroupScores, group_scores

COLUMNS = ("first", "second", "difference", "low", "high", "p", "p_corrected", "effect", "seeds", "groups", "claim")


def compare_settings(
    scores: pd.DataFrame, baseline: str, *, value: str = "dice", confidence: float = 0.95
) -> pd.DataFrame:
    """Test each setting against the baseline, and the settings against each other.

    The differences are paired over groups, and over seeds where two settings share at least two; both count as drawn at
    random (`estimate_mean`). Against the baseline the test asks one way, since a winner must be better; between
    settings it asks both ways. Each of the two families is corrected by Holm's step-down procedure at 1 - confidence,
    and the settings are only told apart where one of them beats the baseline, so that where all are equal something is
    claimed in at most that share of studies. Where seeds or groups are too few, or nothing varies, there is neither an
    interval nor a p value.

    Args:
        scores: a row a case of each training, as the package's docstring says.
        baseline: the setting that the others must beat.
        value: column of the score.
        confidence: of the intervals, which are not corrected, and 1 minus the level of the claims.

    Returns:
        A row a pair: columns `first`, `second`, `difference` (first minus second), `low`, `high`, `p`, `p_corrected`,
        `effect` (mean paired difference over groups in units of its standard deviation, Cohen's d for paired samples),
        `seeds`, `groups`, `claim` (whether first and second are told apart, by the corrected p and by an
        interval that excludes 0; never with fewer than 6 groups or 3 seeds).

    Raises:
        InvalidInputError: a column is missing, or there is no such baseline.

    Sources: S. Holm, A simple sequentially rejective multiple test procedure (Scandinavian Journal of Statistics 6,
        1979); J. Cohen, Statistical Power Analysis for the Behavioral Sciences (2nd edition, 1988), chapter 2.

    Example:
        >>> compare_settings(scores, baseline="dice_bce")  # doctest: +SKIP
    """
    found = group_scores(scores, value)
    found.of(baseline)
    settings = [name for name in found.settings if name != baseline]
    against = _family(found, [(name, baseline) for name in settings], confidence, two_sided=False)
    among = _family(found, list(itertools.combinations(settings, 2)), confidence, two_sided=True)
    if not any(row["claim"] for row in against):
        among = [{**row, "claim": False} for row in among]
    return pd.DataFrame([*against, *among], columns=list(COLUMNS))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order given; NaN counts as compared and stays NaN.

    `holm_of_studies` is the same for many studies at once.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    return [float(value) for value in holm_of_studies(np.asarray(p_values, dtype=float))]


def holm_of_studies(p_values: Floats) -> Floats:
    """As `holm`, of many studies: corrected along the last axis."""
    order = np.argsort(p_values, axis=-1)  # NaN last
    ranked = np.take_along_axis(p_values, order, axis=-1)
    left = np.arange(p_values.shape[-1], 0, -1)
    corrected = np.maximum.accumulate(np.minimum(left * ranked, 1.0), axis=-1)
    return np.take_along_axis(corrected, np.argsort(order, axis=-1), axis=-1)


def difference(found: GroupScores, first: str, second: str) -> tuple[Estimate, float]:
    """Mean difference of two settings, and its effect size."""
    one, two = found.paired(first, second)
    if not one.size or not two.size:
        return Estimate.nothing(), math.nan
    estimate = estimate_mean(one - two) if one.shape == two.shape else estimate_difference(one, two)
    by_group = one.mean(axis=0) - two.mean(axis=0)
    spread = float(np.std(by_group, ddof=1)) if len(by_group) > 1 else math.nan
    return estimate, estimate.mean / spread if spread > 0 else math.nan


def _family(
    found: GroupScores, pairs: list[tuple[str, str]], confidence: float, *, two_sided: bool
) -> list[dict[str, object]]:
    differences = [difference(found, *pair) for pair in pairs]
    p_values = [_p(estimate, two_sided=two_sided) for estimate, _ in differences]
    rows = []
    for pair, (estimate, effect), p, corrected in zip(pairs, differences, p_values, holm(p_values), strict=True):
        low, high = estimate.interval(confidence)
        values = (*pair, estimate.mean, low, high, p, corrected, effect, estimate.seeds, estimate.groups)
        claim = estimate.supports_claims and corrected <= 1 - confidence and not low <= 0 <= high
        rows.append(dict(zip(COLUMNS, (*values, claim), strict=True)))
    return rows


def _p(estimate: Estimate, *, two_sided: bool) -> float:
    above = estimate.p_above_zero()
    return min(2 * min(above, 1 - above), 1.0) if two_sided else above  # in this order NaN stays NaN
