"""Policies beside each other, as text."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from reports.text import as_csv, drawn

_MIB = 1 << 20
_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "policy": ("policy", str),
    "saves": ("saves", str),
    "bytes_written": ("MiB written", lambda value: f"{value / _MIB:.1f}"),
    "bytes_kept": ("MiB kept", lambda value: f"{value / _MIB:.1f}"),
    "stall_seconds": ("waited s", lambda value: f"{value:.1f}"),
    "stall_share": ("waited %", lambda value: f"{100 * value:.2f}"),
    "mean_risk": ("s at risk, mean", lambda value: f"{value:.1f}"),
    "max_risk": ("s at risk, most", lambda value: f"{value:.1f}"),
    "mean_regret": ("regret, mean", lambda value: f"{value:.5f}"),
    "final_regret": ("regret, end", lambda value: f"{value:.5f}"),
}


def replay_text(rows: Sequence[dict[str, Any]], form: str) -> str:
    """The rows of `components.checkpoints.compare_policies` as `table`, `csv` or `json`.

    Args:
        rows: at least one.
        form: one of the three.

    Returns:
        Text without a newline at its end; an unknown regret is empty, in JSON null.

    Example:
        >>> print(replay_text(compare_policies(trace, policies), "table"))  # doctest: +SKIP
    """
    if form == "json":
        return json.dumps(list(rows), indent=2)
    if form == "csv":
        return as_csv(rows)
    cells = [["" if row[name] is None else write(row[name]) for name, (_, write) in _COLUMNS.items()] for row in rows]
    return drawn([title for title, _ in _COLUMNS.values()], cells)
