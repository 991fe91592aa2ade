"""Dice from exact integer counts, the number that a study compares its trials by, and what else they tell."""

from components.metrics.dice import DiceCounts, DiceScores
from components.metrics.overlap import METRICS, OverlapScores, overlap_scores

__all__ = ["METRICS", "DiceCounts", "DiceScores", "OverlapScores", "overlap_scores"]
