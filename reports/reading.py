"""Quick reading of a study's files, which goes on past what is damaged and says what it left out."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

_CHUNK = 4 << 20  # bytes decoded at once: many lines in one call are quick, all at once would be held twice


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's collector of cycles: rows have none, and looking through millions takes as long as reading them.

    Also a decorator.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_rows(path: Path, problems: list[str]) -> list[dict[str, Any]]:
    """All whole rows of a file of one JSON object a line; an absent file has none.

    Args:
        path: file; a torn last line is left out without a word, since it may be in writing.
        problems: what is damaged is added, a line a file.

    Example:
        >>> rows = read_rows(Path("trials/0007/metrics.jsonl"), problems := [])  # doctest: +SKIP
    """
    return list(iterate_rows(path, problems))


def iterate_rows(path: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    """As `read_rows`, a chunk in memory at a time."""
    try:
        with path.open("rb") as stream:
            damaged = 0
            while lines := stream.readlines(_CHUNK):
                if not lines[-1].endswith(b"\n"):
                    lines.pop()
                rows, bad = _decode(lines)
                damaged += bad
                yield from rows
    except FileNotFoundError:
        return
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error}")
        return
    if damaged:
        problems.append(f"{path}: {damaged} damaged line{'s' if damaged > 1 else ''} left out")


def _decode(lines: list[bytes]) -> tuple[list[dict[str, Any]], int]:
    """Rows, and how many lines were none."""
    try:
        found = _loads(b"[" + b",".join(lines) + b"]")
        if len(found) == len(lines):
            rows = [row for row in found if isinstance(row, dict)]
            return rows, len(found) - len(rows)
    except (ValueError, RecursionError):
        pass
    rows, damaged = [], 0
    for line in lines:
        if not line.strip():
            continue
        try:
            row = _loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            damaged += 1
    return rows, damaged


def _loads(text: bytes) -> Any:
    """By orjson, in a third of the time; by Python where there is what orjson refuses, such as NaN.

    Raises:
        ValueError, RecursionError: it is no JSON, or nested too deeply.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
