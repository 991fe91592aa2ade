"""The table of checkpoints that the command prints."""

import json
from collections.abc import Sequence
from typing import Any

from reports.text import as_csv, drawn

_MIB = 1 << 20


def checkpoints_text(rows: Sequence[dict[str, Any]], form: str) -> str:
    """The rows as `table`, `csv` or `json`; metrics are one JSON column in CSV."""
    if form == "json":
        return json.dumps(list(rows), indent=2)
    if form == "csv":
        return as_csv([{**row, "metrics": json.dumps(row["metrics"])} for row in rows])
    return _drawn(rows)


def _drawn(rows: Sequence[dict[str, Any]]) -> str:
    cells = []
    for row in rows:
        size = "" if row["bytes"] is None else f"{row['bytes'] / _MIB:.1f}"
        state = "damaged" if row["problem"] else ""
        epoch = "" if row["epoch"] is None else str(row["epoch"])
        cells.append([row["path"], epoch, row["kind"] or "", size, _main_metric(row["metrics"] or {}), state])
    return drawn(("checkpoint", "epoch", "kind", "MiB", "metric", ""), cells)


def _main_metric(metrics: dict[str, Any]) -> str:
    """The first of validation, or else the first number."""
    numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
    names = [name for name in numbers if name.startswith("val_")] or list(numbers)
    return f"{names[0]} {numbers[names[0]]:.4f}" if names else ""
