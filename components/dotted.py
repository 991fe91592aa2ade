"""Objects by dotted path, the only way in which settings name code."""

import difflib
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from components.errors import InvalidInputError


def is_dotted(path: str) -> bool:
    """Whether a text has the form `package.module:name`.

    Example:
        >>> is_dotted("torch.optim:RAdam"), is_dotted("adam")
        (True, False)
    """
    module_name, separator, name = path.partition(":")
    return bool(separator) and name.isidentifier() and all(part.isidentifier() for part in module_name.split("."))


def import_object(path: str, where: str) -> Any:
    """Import `package.module:name`.

    Args:
        path: dotted path with a colon before the name.
        where: setting that holds it, for error messages.

    Raises:
        InvalidInputError: the path has no colon, a part of it cannot be found, or the module fails when imported; says
            which part.

    Example:
        >>> import_object("torch.nn:Conv2d", "model.build").__name__
        'Conv2d'
    """
    if not is_dotted(path):
        raise InvalidInputError(f"{where}: found {path!r}. Hint: write package.module:name.")
    module_name, _, name = path.partition(":")
    module = _import_module(module_name, path, where)
    try:
        return getattr(module, name)
    except AttributeError:
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f" Hint: did you mean {module_name}:{near[0]}?" if near else ""
        raise InvalidInputError(f"{where}: {path!r}: the module {module_name!r} has no {name!r}.{hint}") from None


def _import_module(name: str, path: str, where: str) -> Any:
    try:
        missing = _missing_part(name)
        module = None if missing else import_module(name)
    except (Exception, SystemExit) as error:
        # A module may raise anything while it is imported, a script even exits; to the user the path does not work.
        reason = f"{type(error).__name__}: {error}"
        raise InvalidInputError(f"{where}: {path!r}: importing {name!r} failed with {reason}.") from error
    if missing:
        raise InvalidInputError(
            f"{where}: {path!r}: there is no module {missing!r}. Hint: is it installed, or in the working directory?"
        )
    return module


def _missing_part(name: str) -> str | None:
    """The first part of a module's name that cannot be found; imports the packages before it."""
    parts = name.split(".")
    candidates = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((part for part in candidates if not _exists(part)), None)


def _exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name != name:  # a package before it imports what is not installed
            raise
        return False  # what should hold it is a module, not a package
