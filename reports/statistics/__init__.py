"""Which setting won, said only as far as seeds and cases carry it; pure functions on tables of scores.

A table of scores has a row a case (and class) of each training: columns `setting`, `seed`, `case`, `group`, `dice`, and
`class` where there are several.
"""

from reports.statistics.comparisons import compare_settings, holm, holm_of_studies
from reports.statistics.conclusion import Conclusion, conclude
from reports.statistics.crossed import claim_tail, crossed_parts, tail
from reports.statistics.estimates import Estimate, estimate_mean
from reports.statistics.scores import MIN_GROUPS, MIN_SEEDS, GroupScores, group_scores
from reports.statistics.settings import probability_best, settings_means, winners_curse

__all__ = [
    "MIN_GROUPS",
    "MIN_SEEDS",
    "Conclusion",
    "Estimate",
    "GroupScores",
    "claim_tail",
    "compare_settings",
    "conclude",
    "crossed_parts",
    "estimate_mean",
    "group_scores",
    "holm",
    "holm_of_studies",
    "probability_best",
    "settings_means",
    "tail",
    "winners_curse",
]
