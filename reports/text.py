"""Rows as text for a terminal or a program."""

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.plain_text import escape, guard_cell

_WIDTH = 160  # of a table when the output is no terminal


def drawn(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without colours, its lines without spaces at their ends."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape(cell)) for cell in row))  # a bracket in a path is no markup
    console = Console(width=_WIDTH, file=StringIO(), no_color=True)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n")


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV, the columns those of the first row; None is empty."""
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: guard_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().rstrip("\n")
