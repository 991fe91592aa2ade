"""Objects by dotted path, the only way that a study file names code."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tuning.errors import StudyConfigError


def import_object(path: str, where: str) -> Any:
    """Import `package.module:name`.

    Args:
        path: dotted path with a colon before the name.
        where: setting that holds it, for error messages.

    Raises:
        StudyConfigError: the path has no colon, or module or name cannot be found.
    """
    module_name, separator, name = path.partition(":")
    if not separator:
        raise StudyConfigError(f"{where}: found {path!r}. Hint: write package.module:name.")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise StudyConfigError(
            f"{where}: cannot import {module_name!r} ({error}). Hint: is it installed, or in the working directory?"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise StudyConfigError(f"{where}: {module_name!r} has no {name!r}.") from None


def make_working_directory_importable() -> None:
    """Let dotted paths reach modules in the working directory, after everything that is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
