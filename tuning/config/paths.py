"""Settings by dotted path."""

from typing import Any

from tuning.errors import StudyConfigError


def set_by_path(settings: dict[str, Any], path: str, value: Any) -> None:
    """Set `settings["a"]["b"] = value` for the dotted path `a.b`, making mappings on the way.

    Raises:
        StudyConfigError: what stands on the way is no mapping.
    """
    *parents, last = path.split(".")
    for depth, name in enumerate(parents, 1):
        settings = settings.setdefault(name, {})
        if not isinstance(settings, dict):
            above = ".".join(parents[:depth])
            raise StudyConfigError(f"{path}: {above} is no mapping, nothing can be set in it. Found: {settings!r}.")
    settings[last] = value


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
