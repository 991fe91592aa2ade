"""Which cases belong together, by a pattern on the stem or by a table."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from components.data.folder.problems import Problems
from components.data.folder.tables import Row, read_table, stem_in_table
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
        path: the file, UTF-8; separated by commas, semicolons or tabs.
        column: holds the group.
        stem_column: holds the stem.

    Raises:
        InvalidInputError: the file or a column is missing, a stem has no row, an empty group or two groups.
    """
    rows = _read_rows(path, (column, stem_column))
    problems, groups = Problems(), dict[str, str]()
    wanted = set(stems)
    for line, row in rows:
        stem, group = stem_in_table(row[stem_column]), (row[column] or "").strip()
        if stem not in wanted:
            continue
        if not group:
            problems.add(f"{path}:{line}: {stem} has no {column}.")
        elif groups.setdefault(stem, group) != group:
            problems.add(f"{path}:{line}: {stem} is in {column} {group!r}, before it was in {groups[stem]!r}.")
    named = {stem_in_table(row[stem_column]) for _, row in rows}
    for stem in stems:
        if stem not in named:
            problems.add(f"{path}: no row for {stem}. Hint: column {stem_column!r} holds the stems of the images.")
    problems.raise_if_any()
    return groups


def _read_rows(path: Path, columns: tuple[str, ...]) -> list[tuple[int, Row]]:
    known, rows = read_table(path, "data.group.csv")
    for column in columns:
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}."
            raise InvalidInputError(f"{path}:1: no column {column!r}. Hint: {hint}")
    return rows


def groups_by_folder(stems: Sequence[str]) -> dict[str, str]:
    """Group of each stem: the sub-folder that it lies in (a folder per patient, say), or the case itself.

    Example:
        >>> groups_by_folder(["p1/left", "p1/right"])
        {'p1/left': 'p1', 'p1/right': 'p1'}
    """
    return {stem: stem.rpartition("/")[0] or stem for stem in stems}
