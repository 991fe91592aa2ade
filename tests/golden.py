"""Compares what the command prints with files under tests/cli/golden; SEGTUNE_UPDATE_GOLDEN=1 writes them anew."""

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "cli" / "golden"
# What differs from machine to machine and run to run; a width of its own is kept, so that columns stay.
_MASKS = (
    (r"\d\.\d{4}\b", "0.####"),
    (r" \(best so far\)", ""),
    (r"(?m)^(best      |settings  (?=\{)|model     ).*$", r"\1WHAT WON"),
    (r"process \d+ on \S+ since \S+", "process PID on HOST since TIME"),
    (r"about (\d+ h )?(\d+ min )?(\d+ s )?left", "about TIME left"),
)


def check_golden(name: str, text: str, **places: Path) -> None:
    """Compare a text with a golden file, its folders called by their keywords."""
    for key, path in places.items():
        text = text.replace(str(path), key.upper())
    for pattern, mask in _MASKS:
        text = re.sub(pattern, mask, text)
    file = FOLDER / f"{name}.txt"
    if os.environ.get("SEGTUNE_UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), f"{file} says something else"
