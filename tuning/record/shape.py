"""What `study.yaml` must have so that whoever reads the study finds what it needs, of the type that it expects."""

from collections.abc import Callable, Mapping
from typing import Any

_LONGEST = 1_000_000  # epochs, folds or trials: far beyond any
Check = Callable[[Any], bool]


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < _LONGEST


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LONGEST


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


_NEEDED: dict[str, Check] = {
    "settings": _is_mapping,
    "data": _is_mapping,
}
_TYPED: dict[str, Check] = {
    "id": _is_text,
    "created": _is_text,
    "versions": _is_mapping,
    "data.name": _is_text,
    "data.mode": _is_text,
    "data.fingerprint": _is_text,
    "data.cases": _is_mapping,
    "data.groups": _or_none(_is_mapping),
    "data.classes": _is_list_of_text,
    "data.warnings": _is_list_of_text,
    "settings.name": _is_text,
    "settings.data": _is_mapping,
    "settings.data.folds": _or_none(_is_whole),
    "settings.training": _is_mapping,
    "settings.training.epochs": _is_count,
    "settings.loss": _is_mapping,
    "settings.loss.terms": _or_none(_is_mapping),
    "settings.loss.weights": _or_none(_is_mapping),
    "settings.loss.schedule": _or_none(_is_mapping),
    "settings.checkpoint": _is_mapping,
    "settings.checkpoint.strategy": _is_text,
    "settings.search": _is_mapping,
    "settings.search.trials": _is_whole,
    "settings.search.objectives": _is_mapping,
    "settings.search.space": _is_mapping,
    "settings.scheduler": _is_mapping,
    "settings.scheduler.type": _is_text,
    "settings.scheduler.grace": _is_count,
    "settings.storage": _or_none(_is_mapping),
    "settings.storage.url": _or_none(_is_text),
}
_REQUIRED = ("name", "data", "training", "search")  # of settings, to read the journal and to report


def shape_problems(record: Mapping[str, Any]) -> list[str]:
    """What a study's record has of another type than a run writes; empty where all is as it should be.

    Args:
        record: what `study.yaml` says.
    """
    if lacks := [part for part, check in _NEEDED.items() if not check(record.get(part))]:
        return [f"it lacks {' and '.join(lacks)}"]
    return [f"{path} is of another type or size" for path, check in _TYPED.items() if not _holds(record, path, check)]


def missing_settings(settings: Mapping[str, Any]) -> list[str]:
    """Paths of the settings without which nobody can read the journal; those that are there have passed the above."""
    missing = [part for part in _REQUIRED if part not in settings]
    return missing + ["training.epochs"] * ("epochs" not in settings.get("training", {}))


def _holds(record: Mapping[str, Any], path: str, check: Check) -> bool:
    value: Any = record
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return True  # a part that is missing is looked for above; one of another type is named itself
        value = value[part]
    return check(value)
