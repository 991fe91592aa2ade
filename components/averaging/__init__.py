"""Averages of weights along one training: exponential, stochastic (SWA), and greedy soups of its checkpoints."""

from components.averaging.averages import Average, ExponentialAverage, StochasticAverage
from components.averaging.batch_norm import recompute_batch_norm
from components.averaging.soup import Soup, greedy_soup

__all__ = [
    "Average",
    "ExponentialAverage",
    "Soup",
    "StochasticAverage",
    "greedy_soup",
    "recompute_batch_norm",
]
