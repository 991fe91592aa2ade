"""The journal as a file: freed after a kill, and read by a person's eyes where Optuna cannot read it."""

import json
from pathlib import Path

from components.json_lines import cut_torn_tail
from tuning.errors import JournalDamagedError

_SHOWN = 60  # characters of a damaged line


def free_journal(path: Path) -> bytes:
    """Make a journal file writable again after a kill; returns the torn last line that was cut off.

    Raises:
        JournalDamagedError: the last whole line is damaged. Optuna passes it over while it is the last one, but could
            not read the file any more once another entry stands behind it.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    cut = cut_torn_tail(path)
    lines = path.read_bytes().splitlines() if path.exists() else []
    try:
        json.loads(lines[-1] if lines else b"{}")
    except ValueError as error:
        raise explain_damage(path, error) from error
    return cut


def explain_damage(path: Path, error: Exception) -> JournalDamagedError:
    """Find the line that keeps a journal from being read.

    Args:
        path: of the journal.
        error: that reading it raised.

    Returns:
        An error that names the line, what stands there and what can be done.
    """
    restore = "Hint: restore the file from a copy; nothing was changed, and trials/ still has every number."
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and isinstance(entry.get("op_code"), int):
            continue
        text = line.decode(errors="replace")
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        if entry is None and line.startswith(b'{"op_code"'):
            return JournalDamagedError(f"{path}:{number}: an entry is cut short: {shown!r}. {restore}")
        hint = "Hint: remove it if it stands between two others; else restore the file from a copy."
        return JournalDamagedError(f"{path}:{number}: no entry of a journal: {shown!r}. {hint} Nothing was changed.")
    reason = f"{type(error).__name__}: {error}"
    return JournalDamagedError(f"{path}: its entries contradict each other ({reason}). {restore}")
