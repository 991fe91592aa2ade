"""The table of policies replayed on a recorded training that the command prints."""

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table

from components.checkpoints import Replayed

_KIB = 1 << 10
_COLUMNS = ("policy", "saves", "KiB", "waits s", "waits %", "risk s", "at most s", "regret", "at the end")


def replay_text(replayed: Mapping[str, Replayed], form: str) -> str:
    """What each policy came to as `table`, `csv` or `json`."""
    rows = [{"policy": name, **asdict(outcome)} for name, outcome in replayed.items()]
    if form == "json":
        return json.dumps(rows, indent=2)
    if form == "csv":
        text = StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().rstrip("\n")
    return _drawn(replayed)


def _drawn(replayed: Mapping[str, Replayed]) -> str:
    table = Table(box=box.SIMPLE_HEAD)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "policy" else "right")
    for name, outcome in replayed.items():
        table.add_row(
            name,
            str(outcome.saves),
            f"{outcome.bytes / _KIB:.0f}",
            f"{outcome.stall_seconds:.3f}",
            f"{100 * outcome.stall_share:.2f}",
            f"{outcome.risk_mean:.2f}",
            f"{outcome.risk_max:.2f}",
            f"{outcome.regret_mean:.4f}",
            f"{outcome.regret_end:.4f}",
        )
    console = Console(width=160, file=StringIO(), no_color=True)
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().strip("\n").splitlines()]
    legend = (
        "risk: training that a kill at a random moment would cost, on average and at the most; "
        "regret: best metric seen minus best saved, on average and at the end"
    )
    return "\n".join([*lines, legend])
