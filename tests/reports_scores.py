"""Scores of settings that were trained several times, with known truth."""

from typing import Any

import numpy as np
import pandas as pd


def scores_table(values: dict[str, Any]) -> pd.DataFrame:
    """A row a setting, seed and group of arrays `(seeds, groups)`; each group has one case, NaN none."""
    rows = [
        {"setting": name, "seed": seed, "case": f"c{group}", "group": group, "dice": float(value)}
        for name, array in values.items()
        for (seed, group), value in np.ndenumerate(np.asarray(array, float))
        if not np.isnan(value)
    ]
    return pd.DataFrame(rows)


def noisy_scores(gains: dict[str, float], *, seeds: int = 5, groups: int = 30, seed: int = 0) -> pd.DataFrame:
    """Settings that differ by their gains, with the luck of seeds (SD 0.005) and groups (0.01)."""
    random = np.random.default_rng(seed)
    hard = random.normal(0.8, 0.08, groups)
    return scores_table(
        {
            name: hard + gain + random.normal(0, 0.005, (seeds, 1)) + random.normal(0, 0.01, (1, groups))
            for name, gain in gains.items()
        }
    )
