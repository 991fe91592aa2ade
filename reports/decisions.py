"""The log of decisions as text: what was saved, what was not, and why."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from components.save_decisions import Decision
from reports.text import as_csv, drawn

_MIB = 1 << 20
_COLUMNS = ("epoch", "time", "decision", "kind", "reason", "metric", "waited s", "MiB", "checkpoint")


def explain_text(decisions: Sequence[Decision], form: str) -> str:
    """The decisions as `table`, `csv` or `json`.

    Args:
        decisions: at least one, in order.
        form: in CSV the inputs are one JSON column; the scores of the cases stand in neither.

    Returns:
        Text without a newline at its end; JSON has null for what is no finite number.

    Example:
        >>> print(explain_text(read_decisions(path), "table"))  # doctest: +SKIP
    """
    if form == "table":
        return "\n".join([drawn(_COLUMNS, [_cells(decision) for decision in decisions]), _total(decisions)])
    rows = [_row(decision) for decision in decisions]
    if form == "json":
        return json.dumps(rows, indent=2)
    return as_csv([{**row, "inputs": json.dumps(row["inputs"])} for row in rows])


def _cells(decision: Decision) -> list[str]:
    word = "save" if decision.save else "hold" if decision.hold else "-"
    return [
        str(decision.epoch),
        decision.time[:19].replace("T", " "),
        word,
        decision.kind if decision.save or decision.hold else "",
        decision.reason,
        "" if decision.metric is None else f"{decision.metric:.4f}",
        f"{decision.seconds:.3f}" if decision.seconds else "",
        f"{decision.bytes / _MIB:.1f}" if decision.bytes else "",
        decision.path,
    ]


def _total(decisions: Sequence[Decision]) -> str:
    saved = [decision for decision in decisions if decision.path]
    waited, trained = (sum(getattr(d, name) for d in decisions) for name in ("seconds", "epoch_seconds"))
    share = f", {100 * waited / (waited + trained):.2f} % of the time" if waited + trained else ""
    size = sum(decision.bytes for decision in saved) / _MIB
    return f"{len(saved)} saves, {size:.1f} MiB written; training waited {waited:.3f} s{share}"


def _row(decision: Decision) -> dict[str, Any]:
    names = ("epoch", "time", "save", "hold", "kind", "reason", "metric", "epoch_seconds", "seconds")
    more = ("persist_seconds", "bytes", "path", "inputs")
    return {name: _plain(getattr(decision, name)) for name in (*names, *more)}


def _plain(value: Any) -> Any:
    """The value as JSON has it: without NaN and infinity."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
