"""Which setting won, said only as far as seeds and cases carry it; pure functions on tables of scores.

A table of scores has a row a case (and class) of each training: columns `setting`, `seed`, `case`, `group`, `dice`, and
`class` where there are several.
"""

from reports.statistics.comparisons import compare_settings, holm
from reports.statistics.conclusion import Conclusion, conclude
from reports.statistics.estimates import MIN_GROUPS, MIN_SEEDS, Estimate, estimate_mean
from reports.statistics.scores import GroupScores, group_scores
from reports.statistics.settings import probability_best, settings_means, winners_curse

__all__ = [
    "MIN_GROUPS",
    "MIN_SEEDS",
    "Conclusion",
    "Estimate",
    "GroupScores",
    "compare_settings",
    "conclude",
    "estimate_mean",
    "group_scores",
    "holm",
    "probability_best",
    "settings_means",
    "winners_curse",
]
