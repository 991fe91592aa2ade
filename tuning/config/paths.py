"""Settings by dotted path."""

from collections.abc import Iterable, Iterator
from typing import Any

from tuning.errors import StudyConfigError

_PARAMETERS = "search.space.parameters."  # what follows is the name of one parameter, dots and all


def split_path(path: str) -> list[str]:
    """The keys that a dotted path goes through.

    Example:
        >>> split_path("search.space.parameters.training.lr")
        ['search', 'space', 'parameters', 'training.lr']
    """
    if path.startswith(_PARAMETERS) and path != _PARAMETERS:
        return [*_PARAMETERS.split(".")[:-1], path.removeprefix(_PARAMETERS)]
    return path.split(".")


def set_by_path(settings: dict[str, Any], path: str, value: Any) -> None:
    """Set `settings["a"]["b"] = value` for the dotted path `a.b`, making mappings on the way.

    Raises:
        StudyConfigError: what stands on the way is no mapping.
    """
    *parents, last = split_path(path)
    for depth, name in enumerate(parents, 1):
        settings = settings.setdefault(name, {})
        if not isinstance(settings, dict):
            above = ".".join(parents[:depth])
            raise StudyConfigError(f"{path}: {above} is no mapping, nothing can be set in it. Found: {settings!r}.")
    settings[last] = value


def pick(settings: dict[str, Any], paths: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """The values at dotted paths of complete settings.

    Example:
        >>> dict(pick({"training": {"lr": 0.1, "batch": 8}}, ["training.lr"]))
        {'training.lr': 0.1}
    """
    for path in paths:
        value: Any = settings
        for name in split_path(path):
            value = value[name]
        yield path, value


def settings_difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted paths whose values differ, with the old and the new value."""
    changed: dict[str, tuple[Any, Any]] = {}
    for key in old.keys() | new.keys():
        path, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changed |= settings_difference(before, after, f"{path}.")
        elif before != after:
            changed[path] = (before, after)
    return dict(sorted(changed.items()))
