"""A study: its file, journal, search, trials, resume and command line.

Names are handed on lazily (PEP 562): `tuning.record` loads without Ray.
"""

from importlib import import_module
from typing import Any

_HOMES = {"Study": "tuning.study", "StudyConfig": "tuning.config"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the part that `name` lives in and hand the name on."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tuning' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
