"""Figures of a study: pure functions from tables to plotly figures, for a report or a notebook."""

from reports.figures.cases import case_dots, class_bars
from reports.figures.curves import learning_curves, optimisation_history
from reports.figures.finalists import finalists_intervals
from reports.figures.settings import importance_bars, parallel_axes, ternary_weights
from reports.figures.strategies import strategy_costs
from reports.figures.terms import term_curves

__all__ = [
    "case_dots",
    "class_bars",
    "finalists_intervals",
    "importance_bars",
    "learning_curves",
    "optimisation_history",
    "parallel_axes",
    "strategy_costs",
    "term_curves",
    "ternary_weights",
]
