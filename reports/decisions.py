"""The table of decisions about saving that the command prints."""

import csv
import json
from collections.abc import Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from components.checkpoints import Decision

_KIB = 1 << 10


def decisions_text(decisions: Sequence[Decision], form: str) -> str:
    """The decisions as `table`, `csv` or `json`; what they were decided by is one JSON column in CSV."""
    rows = [decision.line() for decision in decisions]
    if form == "json":
        return json.dumps(rows, indent=2)
    if form == "csv":
        text = StringIO()
        writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "inputs": json.dumps(row["inputs"])} for row in rows)
        return text.getvalue().rstrip("\n")
    return _drawn(decisions)


def _drawn(decisions: Sequence[Decision]) -> str:
    table = Table(box=box.SIMPLE_HEAD)
    for name, justify in (("epoch", "right"), ("metric", "right"), ("saved", "left"), ("waited s", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("KiB", justify="right")
    table.add_column("why", overflow="fold")
    for decision in decisions:
        done = decision.kind if decision.save else "held" if decision.hold else "no"
        table.add_row(
            str(decision.epoch),
            "" if decision.metric is None else f"{decision.metric:.4f}",
            done,
            "" if decision.seconds is None else f"{decision.seconds:.3f}",
            "" if decision.bytes is None else f"{decision.bytes / _KIB:.0f}",
            _why(decision),
        )
    console = Console(width=160, file=StringIO(), no_color=True)
    with console.capture() as capture:
        console.print(table)
    saves = [decision for decision in decisions if decision.save]
    waited = sum(decision.seconds or 0.0 for decision in saves)
    trained = sum(decision.epoch_seconds or 0.0 for decision in decisions)
    share = f" ({waited / (waited + trained):.2%} of the time)" if trained else ""
    size = sum(decision.bytes or 0 for decision in saves) / _KIB
    lines = [line.rstrip() for line in capture.get().strip("\n").splitlines()]
    return "\n".join(
        [
            *lines,
            f"{len(saves)} of {len(decisions)} epochs saved, {size:.0f} KiB, training waited {waited:.3f} s{share}",
        ]
    )


def _why(decision: Decision) -> str:
    inputs = ", ".join(f"{name} {_short(value)}" for name, value in decision.inputs.items() if value is not None)
    return f"{decision.reason} [{inputs}]" if inputs else decision.reason


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
