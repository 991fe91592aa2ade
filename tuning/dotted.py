"""Where dotted paths look for code."""

import sys
from pathlib import Path


def make_working_directory_importable() -> None:
    """Let dotted paths reach modules in the working directory, after everything that is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def import_paths() -> tuple[str, ...]:
    """Where this process finds modules; a path that is relative to the working directory is made absolute."""
    return tuple(str(Path(path).absolute()) for path in sys.path)


def add_import_paths(paths: tuple[str, ...]) -> None:
    """Let dotted paths reach what another process, of whose `import_paths` these are, can reach."""
    sys.path.extend(path for path in paths if path not in sys.path)
