"""The comparison in a sentence: who won, or plainly that no one did."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.rows import rows_of
from reports.statistics.comparisons import compare_settings
from reports.statistics.scores import MIN_GROUPS, MIN_SEEDS
from reports.statistics.settings import settings_means


@dataclass(frozen=True)
class Conclusion:
    """What may be said of a comparison.

    Attributes:
        winner: the setting with the highest mean, if it beats the baseline significantly; else None.
        sentence: that, in words.
        means: as `settings_means`.
        comparisons: as `compare_settings`.
    """

    winner: str | None
    sentence: str
    means: pd.DataFrame
    comparisons: pd.DataFrame


def conclude(scores: pd.DataFrame, baseline: str, *, value: str = "dice", confidence: float = 0.95) -> Conclusion:
    """Name a winner, or say why there is none.

    Args:
        scores: a row a case of each training, as the package's docstring says.
        baseline: the setting that the others must beat.
        value: column of the score.
        confidence: see `compare_settings`.

    Raises:
        InvalidInputError: a column is missing, or there is no such baseline.

    Example:
        >>> conclude(scores, baseline="dice_bce").sentence  # doctest: +SKIP
        'No significant winner: ...'
    """
    comparisons = compare_settings(scores, baseline, value=value, confidence=confidence)
    means = settings_means(scores, value=value, confidence=confidence)
    against = comparisons[comparisons["second"] == baseline].set_index("first")
    if against.empty:
        return Conclusion(None, "Nothing to compare: there is only the baseline.", means, comparisons)
    best = str(means[means["setting"] != baseline]["setting"].iloc[0])
    row = against.to_dict("index")[best]
    if math.isnan(row["difference"]):
        sentence = f"No significant winner: {best} and {baseline} have no scored case in common."
        return Conclusion(None, sentence, means, comparisons)
    interval = f"{100 * confidence:.0f} % interval {row['low']:+.4f} to {row['high']:+.4f}"
    gain = f"{row['difference']:+.4f} ({'no interval' if math.isnan(row['low']) else interval})"
    size = f"{row['groups']} groups, {row['seeds']} seed{'' if row['seeds'] == 1 else 's'}"
    if row["claim"]:
        others = comparisons[(comparisons["first"] == best) | (comparisons["second"] == best)]
        level = [
            _other(pair, best)
            for pair in rows_of(others)
            if not pair.claim and baseline not in (pair.first, pair.second)
        ]
        beaten = f" It is not told apart from {', '.join(level)}." if level else ""
        sentence = f"{best} beats {baseline}: {gain}, p {_p(row['p_corrected'])} corrected, {size}.{beaten}"
        return Conclusion(best, sentence, means, comparisons)
    sentence = f"No significant winner: {best} against {baseline} {gain}; {_why_not(row, size, 1 - confidence)}."
    return Conclusion(None, sentence, means, comparisons)


def _why_not(row: Mapping[Any, Any], size: str, level: float) -> str:
    """Why a comparison claims nothing."""
    if row["groups"] < MIN_GROUPS:
        units = f"{row['groups']} independent group{'' if row['groups'] == 1 else 's'}"
        return f"no claim is made on {units} (at least {MIN_GROUPS} are needed)"
    if row["seeds"] < MIN_SEEDS:
        units = f"{row['seeds']} seed{'' if row['seeds'] == 1 else 's'}"
        return f"no claim is made on {units} (at least {MIN_SEEDS} are needed)"
    if math.isnan(row["p"]):
        return f"no claim is made where the difference is the same in every group and seed ({size})"
    within = ", but the interval holds 0" if row["p_corrected"] <= level else ""
    return f"p {_p(row['p_corrected'])} corrected{within}, {size}"


def _other(pair: object, name: str) -> str:
    first, second = pair.first, pair.second  # type: ignore[attr-defined]  # a row of itertuples
    return str(second if first == name else first)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"  # noqa: PLR2004 - smaller ones are not known better
