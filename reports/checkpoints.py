"""The table of checkpoints that the command prints."""

import csv
import json
from collections.abc import Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_MIB = 1 << 20


def checkpoints_text(rows: Sequence[dict[str, Any]], form: str) -> str:
    """The rows as `table`, `csv` or `json`; metrics are one JSON column in CSV."""
    if form == "json":
        return json.dumps(list(rows), indent=2)
    if form == "csv":
        text = StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "metrics": json.dumps(row["metrics"])} for row in rows)
        return text.getvalue().rstrip("\n")
    return _drawn(rows)


def _drawn(rows: Sequence[dict[str, Any]]) -> str:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("checkpoint", "epoch", "kind", "MiB", "metric", ""):
        table.add_column(name, overflow="fold")
    for row in rows:
        size = "" if row["bytes"] is None else f"{row['bytes'] / _MIB:.1f}"
        state = "damaged" if row["problem"] else ""
        epoch = "" if row["epoch"] is None else str(row["epoch"])
        table.add_row(row["path"], epoch, row["kind"] or "", size, _main_metric(row["metrics"] or {}), state)
    console = Console(width=160, file=StringIO(), no_color=True)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines())


def _main_metric(metrics: dict[str, Any]) -> str:
    """The first of validation, or else the first number."""
    numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
    names = [name for name in numbers if name.startswith("val_")] or list(numbers)
    return f"{names[0]} {numbers[names[0]]:.4f}" if names else ""
