"""What a network scored on a split, as a bundle states it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.metrics import METRICS, mean_over_groups


def describe_intervals(per_case: Mapping[str, npt.NDArray[np.float64]], groups: Sequence[str]) -> dict[str, Any]:
    """Each metric's mean over the groups, with an interval whose ends are cut to 0 and 1.

    Args:
        per_case: by metric `(cases, classes)`, NaN where undefined.
        groups: of each case.
    """
    metrics: dict[str, dict[str, float | None]] = {}
    count = 0
    for name, values in per_case.items():
        found = mean_over_groups(values, groups)
        low, high = (None, None) if math.isnan(found.low) else (max(found.low, 0.0), min(found.high, 1.0))
        metrics[name], count = {"mean": found.mean, "low": low, "high": high}, found.groups
    return {"cases": len(groups), "groups": count, "metrics": metrics}


def describe_tested(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """As `describe_intervals`, from a row for each test case and class; None without a value."""
    cases = {row["case"]: row["group"] for row in rows}
    classes = list(dict.fromkeys(row["class"] for row in rows))
    places = {case: number for number, case in enumerate(cases)}
    tables = {name: np.full((len(cases), len(classes)), np.nan) for name in METRICS}
    for row in rows:
        for name, table in tables.items():
            if row.get(name) is not None:
                table[places[row["case"]], classes.index(row["class"])] = row[name]
    tables = {name: table for name, table in tables.items() if not np.isnan(table).all()}
    return describe_intervals(tables, list(cases.values())) if tables else None
