"""The rows of a table as objects."""

from typing import Any

import pandas as pd


def rows_of(table: pd.DataFrame) -> list[Any]:
    """Each row with its columns as attributes; its values have whatever types the table was given."""
    return list(table.itertuples())


def contenders(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of which one is the best: those with a Dice that did not fail, and where there are any, feasible ones.

    Args:
        trials: as `load_trials` gives them; without the column `infeasible` all are feasible.
    """
    scored = trials[trials["best_dice"].notna() & (trials["state"] != "failed")]
    if "infeasible" not in scored:
        return scored
    feasible = scored[~scored["infeasible"].astype(bool)]
    return scored if feasible.empty else feasible
