"""Reads one entry of the study file's space: a setting's name and its range."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.derived import Derived
from search_spaces.distributions import Choice, Distribution, Float, Int
from search_spaces.errors import SpaceError, gather, hint_for
from search_spaces.parameter import Parameter, When, check_name
from search_spaces.simplex import Simplex

# YAML 1.1, which PyYAML reads, takes 1e-4 for text and only 1.0e-4 for a number.
_TEXT_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
_PAIR = 2


def read_entry(name: str, spec: object) -> Parameter:
    """Read an entry such as ``training.lr: {float: [1e-4, 1e-2], log: true}``.

    Args:
        name: Dotted path of the setting.
        spec: One of ``float``, ``int``, ``choice``, ``simplex``, ``derived``, with its options and ``when``.

    Raises:
        SpaceError: With all problems of the entry.

    Example:
        >>> read_entry("training.lr", {"float": ["1e-4", "1e-2"], "log": True}).describe()
        'float 0.0001 to 0.01, log scale'
    """
    if not isinstance(spec, Mapping):
        raise SpaceError(f"must be a mapping, found {spec!r}. Hint: write it as {{float: [0.1, 1.0]}}.")
    kind = _find_kind(spec)
    allowed = (kind, *_KINDS[kind].options, "when")
    problems = [f"unknown key {key!r}. {hint_for(key, allowed)}" for key in spec if key not in allowed]
    distribution, when = None, None
    with gather(problems):
        check_name(name)
    with gather(problems):
        distribution = _read_range(kind, spec)
    with gather(problems):
        when = _read_when(spec["when"]) if "when" in spec else None
    if problems or distribution is None:
        raise SpaceError(*problems)
    return Parameter(name, distribution, when)


@dataclass(frozen=True)
class _Kind:
    """How one kind of range is read, and which options it knows."""

    build: Callable[..., Distribution]
    options: tuple[str, ...] = ()


def _find_kind(spec: Mapping[Any, Any]) -> str:
    kinds = [str(key) for key in spec if key in _KINDS]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise SpaceError(f"is both {' and '.join(kinds)}. Hint: keep one.")
    options = {"when"}.union(*(kind.options for kind in _KINDS.values()))
    unknown = [str(key) for key in spec if key not in options]
    raise SpaceError(f"names no range. {hint_for(unknown[0] if unknown else '', _KINDS)}")


def _read_range(kind: str, spec: Mapping[Any, Any]) -> Distribution:
    options = {key: _number(spec[key]) for key in _KINDS[kind].options if key in spec}
    return _KINDS[kind].build(spec[kind], **options)


def _read_when(value: object) -> When:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise SpaceError(f"when: must name one parameter, found {value!r}. Hint: write it as {{name: value}}.")
    ((name, equals),) = value.items()
    return When(name, tuple(equals) if isinstance(equals, list) else equals)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and _TEXT_NUMBER.fullmatch(value) else value


def _bounds(value: object) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != _PAIR:
        raise SpaceError(f"must have two bounds, found {value!r}. Hint: write [low, high].")
    return _number(value[0]), _number(value[1])


def _float(bounds: object, **options: Any) -> Float:
    return Float(*_bounds(bounds), **options)


def _int(bounds: object, **options: Any) -> Int:
    return Int(*_bounds(bounds), **options)


def _choice(options: Any) -> Choice:
    choice = Choice(options)
    misread = [option for option in choice.options if _number(option) is not option]
    if misread:
        raise SpaceError(f"option {misread[0]} is text to YAML. Hint: write it with a point, as 1.0e-4.")
    return choice


_KINDS = {
    "float": _Kind(_float, ("log", "step")),
    "int": _Kind(_int, ("log", "step")),
    "choice": _Kind(_choice),
    "simplex": _Kind(Simplex, ("min_weight",)),
    "derived": _Kind(Derived, ("scale", "offset")),
}
