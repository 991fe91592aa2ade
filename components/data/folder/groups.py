"""Which cases belong together, by a pattern on the stem or by a table."""

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.data.folder.problems import Problems
from components.errors import InvalidInputError


def groups_by_pattern(stems: Sequence[str], pattern: str) -> dict[str, str]:
    r"""Group of each stem: the pattern's first group, or its whole match when it has none.

    Raises:
        InvalidInputError: no regular expression, or a stem does not match; lists every such stem.

    Example:
        >>> groups_by_pattern(["p1_left", "p1_right"], r"(p\d+)_")
        {'p1_left': 'p1', 'p1_right': 'p1'}
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInputError(f"data.group.pattern: {pattern!r} is no regular expression: {error}.") from None
    problems, groups = Problems(), {}
    for stem in stems:
        match = compiled.search(stem)
        group = match and match[1 if compiled.groups else 0]
        if group:
            groups[stem] = group
        else:
            nothing = "does not match" if match is None else "matches no character of"
            problems.add(f"data.group.pattern: {pattern!r} {nothing} the stem {stem!r}.")
    problems.raise_if_any()
    return groups


def groups_by_table(stems: Sequence[str], path: Path, column: str, stem_column: str = "stem") -> dict[str, str]:
    """Group of each stem from a CSV file with a header.

    Args:
        stems: cases that need a group; rows of other stems are passed over.
        path: the file, UTF-8.
        column: holds the group.
        stem_column: holds the stem.

    Raises:
        InvalidInputError: the file or a column is missing, a stem has no row, an empty group or two groups.
    """
    rows = _read_table(path, (column, stem_column))
    problems, groups = Problems(), dict[str, str]()
    wanted = set(stems)
    for line, row in rows:
        stem, group = row[stem_column] or "", row[column] or ""
        if stem not in wanted:
            continue
        if not group:
            problems.add(f"{path}:{line}: {stem} has no {column}.")
        elif groups.setdefault(stem, group) != group:
            problems.add(f"{path}:{line}: {stem} is in {column} {group!r}, before it was in {groups[stem]!r}.")
    named = {row[stem_column] for _, row in rows}
    for stem in stems:
        if stem not in named:
            problems.add(f"{path}: no row for {stem}. Hint: column {stem_column!r} holds the stems of the images.")
    problems.raise_if_any()
    return groups


def _read_table(path: Path, columns: tuple[str, ...]) -> list[tuple[int, Mapping[str, str | None]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            known = list(reader.fieldnames or [])
            rows: list[tuple[int, Mapping[str, str | None]]] = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise InvalidInputError(f"data.group.csv: {path}: no such file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"data.group.csv: {path}: cannot be read ({error}).") from None
    for column in columns:
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}."
            raise InvalidInputError(f"{path}:1: no column {column!r}. Hint: {hint}")
    return rows
