"""The section on settings that were trained again."""

from collections.abc import Mapping

import pandas as pd

from reports.figures import finalists_intervals
from reports.html.parts import figure, paragraph, table
from reports.rows import rows_of
from reports.statistics import Conclusion, winners_curse

_METHOD = (
    "Cases are averaged in their group first. Means, intervals and tests take both seeds and groups as drawn from many "
    "that could have been: each adds a variance of its own, estimated by a two-way analysis of variance, and what the "
    "estimates may be off by is averaged over (the problem of Behrens and Fisher, with the prior of Ghosh and Kim); "
    "differences are paired over both. p values are Holm's, over all settings compared; against the baseline the test "
    "is one-sided, and the 95 % interval must exclude 0 as well. Fewer than 6 groups or 3 seeds carry neither a claim "
    "nor an interval. No test sees a collapse so rare that no seed had it, or a site that no group names."
)


def finalists(
    conclusion: Conclusion, baseline: str, search: Mapping[str, float], scores: pd.DataFrame, ident: str
) -> str:
    """Means, comparisons and the winner's curse."""
    body = paragraph(conclusion.sentence)
    body += figure(
        f"{ident}-means",
        finalists_intervals(conclusion.means, baseline),
        "Mean Dice of each setting on cases held out, with its 95 % interval where seeds and groups carry one.",
    )
    means = [
        [row.setting, row.mean, row.error, row.low, row.high, row.p_best, row.seed_sd, row.seeds, row.groups]
        for row in rows_of(conclusion.means)
    ]
    columns = ("setting", "mean", "error", "low", "high", "probability of being best", "SD of seeds", "seeds", "groups")
    body += table(columns, means, "Settings trained again")
    pairs = [
        [
            f"{row.first} against {row.second}",
            *(row.difference, row.low, row.high, row.p_corrected, row.effect),
            "yes" if row.claim else "no",
        ]
        for row in rows_of(conclusion.comparisons)
    ]
    heads = ("pair", "difference", "low", "high", "p corrected", "effect size", "told apart")
    body += table(heads, pairs, "Differences")
    if search:
        curse = winners_curse(search, scores)
        rows = [[row.setting, row.search, row.retrained, row.gap] for row in rows_of(curse)]
        body += table(("setting", "in the search", "trained again", "gap"), rows, "What the search had promised")
    return body + paragraph(_METHOD, "note")
