"""Dice from exact integer counts: the number that a study compares its trials by."""

from components.metrics.dice import DiceCounts, DiceScores

__all__ = ["DiceCounts", "DiceScores"]
