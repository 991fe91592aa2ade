"""Files of one JSON object a line that survive a kill: a torn last line is ignored when read and cut when reopened."""

import json
import os
from pathlib import Path
from typing import Any


def append_line(path: Path, entry: dict[str, Any]) -> None:
    """Append an entry; it survives a kill of this process once the call has returned."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole entries; an absent file has none."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line]


def rewrite_lines(path: Path, entries: list[dict[str, Any]]) -> None:
    """Replace the file by these entries, atomically."""
    replace_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))


def replace_text(path: Path, text: str) -> None:
    """Replace the file by this text, atomically and durably."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # left by a kill, or a link to somebody else's file
    with temporary.open("x", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def cut_torn_tail(path: Path) -> bytes:
    """Cut what follows the last newline, left by a kill within a write; the caller holds the study's lock.

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
