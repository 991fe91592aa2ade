"""Files of one JSON object a line: the one reader, with the one rule for damage, and what writes and mends them.

A last line without its end is torn by a kill, or still in writing: it is passed over, and cut before the next is added.
Any other line that is no JSON object is damaged: it is left out and named, and set aside in a file beside it before the
file is written anew. Loads neither torch nor Ray.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from components.plain_text import escape

Row = dict[str, Any]
Check = Callable[[Row], bool]
_CHUNK = 4 << 20  # bytes decoded at once: many lines in one call are quick, all at once would be held twice
_DEEPEST = 200  # levels of a value; no record of ours is nested deeper
_logger = logging.getLogger(__name__)
_said: set[str] = set()  # damage that was named in this process already: a command may read a file several times


def _is_object(row: Row) -> bool:
    """Nothing more is asked of a row by default."""
    del row
    return True


def read_lines(path: Path, problems: list[str] | None = None, *, is_whole: Check = _is_object) -> list[Row]:
    """All whole rows; an absent file has none.

    Args:
        path: of the file.
        problems: what is damaged is added, one line for a file; by default it is logged as a warning, once.
        is_whole: whether a row has what every row of this file has; one that has not is damaged too.

    Raises:
        OSError: the file cannot be read, and there is no `problems` to say so in.

    Example:
        >>> read_lines(Path("trials/0007/metrics.jsonl"), problems := [])  # doctest: +SKIP
    """
    return list(iterate_lines(path, problems, is_whole=is_whole))


def iterate_lines(path: Path, problems: list[str] | None = None, *, is_whole: Check = _is_object) -> Iterator[Row]:
    """As `read_lines`, with no more than a part of the file in memory at a time."""
    damaged: list[int] = []
    try:
        with path.open("rb") as stream:
            before = 0
            while lines := stream.readlines(_CHUNK):
                whole = lines if lines[-1].endswith(b"\n") else lines[:-1]
                for number, row in enumerate(_decode(whole), start=before + 1):
                    if row is not None and is_whole(row):
                        yield row
                    elif row is not None or whole[number - before - 1].strip():
                        damaged.append(number)
                before += len(lines)
    except FileNotFoundError:
        return
    except OSError as error:
        if problems is None:
            raise
        problems.append(f"{path}: cannot be read: {error}")
        return
    if damaged:
        _name(f"{path}: {_counted(damaged)} left out", problems)


def append_line(path: Path, entry: Row, *, durable: bool = False) -> None:
    """Append an entry; it survives a kill of this process once the call has returned, and durably a power cut too."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")
        if durable:
            stream.flush()
            os.fsync(stream.fileno())


def rewrite_lines(path: Path, entries: Iterable[Row]) -> None:
    """Replace the file by these entries, atomically; what is damaged in it is set aside before."""
    mend_lines(path)
    replace_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))


def replace_text(path: Path, text: str) -> None:
    """Replace the file by this text, atomically and durably.

    Raises:
        OSError: it cannot be written; names the file, also on a full disk, and leaves nothing.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # left by a kill, or a link to somebody else's file
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise named(error, path) from error


def named(error: OSError, path: Path) -> OSError:
    """An error that names a file; a write to a full disk names none itself."""
    if error.filename is not None or error.errno is None:
        return error
    return OSError(error.errno, error.strerror, str(path))


def cut_torn_tail(path: Path) -> bytes:
    """Cut what follows the last newline, left by a kill within a write; nobody else may write meanwhile.

    Returns:
        The bytes that were cut, empty when the file was whole or absent.
    """
    if not path.exists():
        return b""
    with path.open("r+b") as stream:
        content = stream.read()
        whole = content.rfind(b"\n") + 1
        stream.truncate(whole)
    return content[whole:]


def mend_lines(path: Path, *, is_whole: Check = _is_object) -> int:
    """Cut a torn last line and set damaged lines aside, so that the file can be written again; nobody else may write.

    Damaged lines go to the end of `.damaged-<name>` beside the file, and that is said.

    Returns:
        How many lines were set aside.
    """
    cut_torn_tail(path)
    if not path.exists():
        return 0
    with path.open("rb") as stream:
        lines = stream.readlines()
    rows = _decode(lines)
    bad = [
        number for number, row in enumerate(rows) if not (row is not None and is_whole(row)) and lines[number].strip()
    ]
    if not bad:
        return 0
    aside = path.with_name(f".damaged-{path.name}")
    with aside.open("ab") as stream:
        stream.writelines(lines[number] for number in bad)
    spoiled = set(bad)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as stream:
        stream.writelines(line for number, line in enumerate(lines) if number not in spoiled)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _name(f"{path}: {_counted([number + 1 for number in bad])} set aside in {aside.name}", None)
    return len(bad)


def parse_line(line: bytes) -> Row | None:
    """The object of a line; None where it is none, or nested deeper than any record."""
    try:
        row = _loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _decode(lines: list[bytes]) -> list[Row | None]:
    """The row of each line, None where it is none."""
    try:
        found = orjson.loads(b"[" + b",".join(lines) + b"]")
        if len(found) == len(lines):
            return [row if isinstance(row, dict) else None for row in found]
    except orjson.JSONDecodeError:
        pass
    return [parse_line(line) for line in lines]


def _loads(text: bytes) -> Any:
    """By orjson, in a third of the time; by Python where there is what orjson refuses, such as NaN.

    Raises:
        ValueError, RecursionError: it is no JSON, or nested too deeply.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _clean(json.loads(text))


def _clean(value: Any, depth: int = 0) -> Any:
    """The value without halves of characters, which no file and no terminal takes."""
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        return escape(value) if any("\ud800" <= sign <= "\udfff" for sign in value) else value
    if isinstance(value, dict):
        return {str(_clean(name)): _clean(part, depth + 1) for name, part in value.items()}
    return [_clean(part, depth + 1) for part in value] if isinstance(value, list) else value


def _counted(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:3])) + (", …" if len(numbers) > 3 else "")  # noqa: PLR2004 - enough to look
    return f"{len(numbers)} damaged line{'s' if len(numbers) > 1 else ''} ({shown})"


def _name(problem: str, problems: list[str] | None) -> None:
    if problems is not None:
        problems.append(problem)
    elif problem not in _said:
        _said.add(problem)
        _logger.warning("%s", problem)
