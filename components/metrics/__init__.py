"""Dice from exact integer counts, the number that a study compares its trials by, and what else they tell."""

from components.metrics.calibration import LogitSample, Reliability, fit_temperature, reliability
from components.metrics.dice import DiceCounts, DiceScores
from components.metrics.intervals import GroupMean, mean_over_groups
from components.metrics.overlap import METRICS, OverlapScores, overlap_scores
from components.metrics.surface import SurfaceScores, surface_scores
from components.metrics.threshold import ThresholdCounts, ThresholdSweep, sweep_threshold, threshold_counts

__all__ = [
    "METRICS",
    "DiceCounts",
    "DiceScores",
    "GroupMean",
    "LogitSample",
    "OverlapScores",
    "Reliability",
    "SurfaceScores",
    "ThresholdCounts",
    "ThresholdSweep",
    "fit_temperature",
    "mean_over_groups",
    "overlap_scores",
    "reliability",
    "surface_scores",
    "sweep_threshold",
    "threshold_counts",
]
