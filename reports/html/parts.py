"""Pieces of a page. All text goes through `text`, which lets nothing of it become HTML."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_ROWS = 100  # of a table on the page
_LONG = 24  # signs of a text that is broken into lines
_SCORE = 2  # numbers up to it are scores or differences of scores, and are shown with four digits


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading.

    Attributes:
        ident: its anchor.
        title: heading, plain text.
        body: HTML.
    """

    ident: str
    title: str
    body: str


def text(value: object) -> str:
    """Any value as text that stays text; what is undefined is a dash."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:.4f}"
    return escape(str(value))


def paragraph(value: str, kind: str = "") -> str:
    """A paragraph of plain text; `kind` is `note` or `warning`."""
    return f'<p class="{escape(kind)}">{escape(value)}</p>' if kind else f"<p>{escape(value)}</p>"


def preformatted(value: str) -> str:
    """Text in its own lines, such as a log or a command; it can be scrolled with the keyboard."""
    return f'<pre tabindex="0">{escape(value)}</pre>'


def bullets(lines: Sequence[str]) -> str:
    """A list of plain texts."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


def folded(title: str, body: str) -> str:
    """HTML that opens on a click."""
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str, *, rows_shown: int = _ROWS) -> str:
    """A table whose first column heads the rows; of many rows the first are shown and the rest is said."""
    numeric = [
        bool(rows) and all(isinstance(row[index], int | float | None) for row in rows) for index in range(len(columns))
    ]
    larges = [number and any(_is_large(row[index]) for row in rows) for index, number in enumerate(numeric)]
    marks = [_mark(number, [row[index] for row in rows[:rows_shown]]) for index, number in enumerate(numeric)]
    head = "".join(f'<th scope="col"{mark}>{escape(name)}</th>' for name, mark in zip(columns, marks, strict=True))
    body = []
    for row in rows[:rows_shown]:
        cells = [f'<th scope="row">{text(row[0])}</th>']
        cells += [
            f"<td{mark}>{_short(value) if large else text(value)}</td>"
            for value, mark, large in zip(row[1:], marks[1:], larges[1:], strict=True)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    more = (
        f"; the first {rows_shown} of {len(rows)}, all are in the tables in the study's folder report"
        if len(rows) > rows_shown
        else ""
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption + more)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _mark(number: bool, values: Sequence[object]) -> str:  # noqa: FBT001
    """The class of a column's cells: that of long text keeps room, so that its lines are not a word each."""
    if number:
        return ' class="number"'
    return ' class="words"' if any(len(str(value)) > _LONG for value in values) else ""


def _is_large(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) > _SCORE


def _short(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) and math.isfinite(value) else text(value)


def figure(ident: str, drawn: "Figure", caption: str) -> str:
    """A plotly figure with its caption, which also tells those who cannot see it what it shows."""
    content = json.dumps(_plain(drawn.to_plotly_json()), allow_nan=False, separators=(",", ":"))
    content = content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    height = drawn.layout.height or 380
    return (
        f'<figure><div class="plot" id="{escape(ident)}" role="img" aria-label="{escape(caption)}" '
        f'style="height:{height}px"></div><script type="application/json">{content}</script>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _plain(value: Any) -> Any:
    """The value as JSON has it: numbers with as many digits as a screen shows, none that are not finite."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
