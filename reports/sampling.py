"""Few trials of many, so that a page stays light: those that matter, and an even choice of the others."""

import numpy as np
import pandas as pd

_BEST = 0.3  # share of the places that goes to the best


def sample_trials(trials: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many trials (or all baselines, where these are more), in their order.

    Args:
        trials: columns `baseline` and `best_dice`.
        most: trials to return.
    """
    if len(trials) <= most:
        return trials
    chosen = trials["baseline"].notna()
    best = trials.loc[~chosen, "best_dice"].nlargest(int(most * _BEST)).index
    chosen |= trials.index.isin(best)
    others = trials.index[~chosen]
    places = max(most - int(chosen.sum()), 0)
    even = others[np.unique(np.linspace(0, len(others) - 1, places).astype(int))] if places else others[:0]
    return trials[chosen | trials.index.isin(even)]
