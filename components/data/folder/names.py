"""What a file's name says: its kind, and the case that it belongs to."""

from pathlib import Path

from components.image_reader import VOLUMES, suffix_of
from components.plain_text import escape


def stem_of(path: Path) -> str:
    """The name without its suffix, which names the case; a byte that is no UTF-8 is written out as its number."""
    return escape(path.name[: len(path.name) - len(suffix_of(path))])


def is_volume(path: Path) -> bool:
    """Whether a file is NIfTI."""
    return suffix_of(path) in VOLUMES
