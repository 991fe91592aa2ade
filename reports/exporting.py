"""A table as text or file in the forms that other tools read."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from components.errors import InvalidInputError
from components.json_lines import replace_text
from components.plain_text import guard_cell

Form = Literal["csv", "json", "markdown", "latex", "parquet"]
SUFFIXES = {"csv": "csv", "json": "json", "markdown": "md", "latex": "tex", "parquet": "parquet"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def table_text(table: pd.DataFrame, form: str) -> str:
    """A table as `csv`, `json`, `markdown` or `latex`, with a newline at its end.

    Mappings, such as sampled settings, become JSON in one cell; what is undefined is empty, and null in JSON.

    Raises:
        InvalidInputError: the form is none of these.

    Example:
        >>> print(table_text(pd.DataFrame({"a_b": [0.5, None]}), "markdown"))
        | a_b |
        |---|
        | 0.5 |
        |  |
        <BLANKLINE>
    """
    if form == "csv":
        return _csv(table).decode("utf-8")
    if form == "json":
        rows = [
            {name: _as_json(value) for name, value in row.items()} for row in table.astype(object).to_dict("records")
        ]
        return json.dumps(rows, indent=2, allow_nan=False) + "\n"
    if form == "markdown":
        return _markdown(table)
    if form == "latex":
        return _latex(table)
    raise InvalidInputError(f"form: found {form!r}; expected csv, json, markdown or latex (parquet is a file).")


def write_table(table: pd.DataFrame, path: Path, form: str) -> Path:
    """Write a table to a file, replacing it as a whole.

    Raises:
        InvalidInputError: the form is none of `Form`.
    """
    if form not in ("csv", "parquet"):
        replace_text(path, table_text(table, form))
        return path
    temporary = path.with_name(f".{path.name}.tmp")
    if form == "csv":
        temporary.write_bytes(_csv(table))
    else:
        _flat(table).to_parquet(temporary, index=False)
    temporary.replace(path)
    return path


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    flat = {}
    for name in table.columns:
        column = table[name]
        if column.dtype == object and any(isinstance(value, Mapping) for value in column):
            flat[name] = column.map(lambda value: json.dumps(value) if isinstance(value, Mapping) else value)
        elif column.dtype == object and len(set(map(type, column)) - {type(None)}) > 1:  # a file's column has one type
            flat[name] = column.map(lambda value: value if isinstance(value, str) else _cell(value) or None)
    return table.assign(**flat)


def _csv(table: pd.DataFrame) -> bytes:
    """By Arrow: a million rows take pandas ten times as long."""
    import pyarrow as pa  # noqa: PLC0415 - a third of a second that other forms need not wait
    from pyarrow import csv  # noqa: PLC0415

    text = pa.BufferOutputStream()
    head = pa.py_buffer((",".join(map(_quoted, map(guard_cell, table.columns))) + "\n").encode("utf-8"))
    text.write(head)
    content = pa.Table.from_pandas(guarded(_flat(table)), preserve_index=False)
    csv.write_csv(content, text, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return bytes(text.getvalue())


def guarded(table: pd.DataFrame) -> pd.DataFrame:
    """The table with texts that a spreadsheet would compute turned into plain ones."""
    texts = [name for name in table.columns if table[name].dtype.kind not in "biufcM"]
    return table.assign(**{name: table[name].map(guard_cell) for name in texts})


def _quoted(name: object) -> str:
    text = str(name)
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _as_json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _cell(value: Any) -> str:
    value = _as_json(value)
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _markdown(table: pd.DataFrame) -> str:
    def row(cells: list[str]) -> str:
        return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"

    lines = [row([str(name) for name in table.columns]), "|" + "---|" * len(table.columns)]
    lines += [row([_cell(value) for value in values]) for values in table.astype(object).itertuples(index=False)]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Text that stays text in a Markdown table: no cell ends, no HTML, no new line."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(escaped.splitlines())


def _latex(table: pd.DataFrame) -> str:
    def row(cells: list[str]) -> str:
        return " & ".join("".join(_LATEX.get(sign, sign) for sign in cell) for cell in cells) + r" \\"

    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
    lines = [rf"\begin{{tabular}}{{{''.join('r' if number else 'l' for number in numeric)}}}", r"\hline"]
    lines += [row([str(name) for name in table.columns]), r"\hline"]
    lines += [row([_cell(value) for value in values]) for values in table.astype(object).itertuples(index=False)]
    return "\n".join([*lines, r"\hline", r"\end{tabular}"]) + "\n"
