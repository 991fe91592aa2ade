"""Where dotted paths look for code."""

import sys
from pathlib import Path


def make_working_directory_importable() -> None:
    """Let dotted paths reach modules in the working directory, after everything that is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
