"""Kinds and limits of settings, written as annotations that a study file and a configuration in Python both follow."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len, Lt, Predicate

from components.dotted import is_dotted

Positive = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Above0 = Annotated[float, Gt(0)]
From0 = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
Below1 = Annotated[float, Ge(0), Lt(1)]
Strength = Annotated[float, Ge(0), Le(3)]
Text = Annotated[str, Len(1)]
Dotted = Annotated[str, Predicate(is_dotted)]  # the import path of code outside segtune, `package.module:name`
NOT_DOTTED = "must be a path such as package.module:name"

_LIMITS: dict[type, tuple[str, str, Callable[[Any, Any], bool]]] = {
    Ge: ("ge", "at least", operator.ge),
    Gt: ("gt", "above", operator.gt),
    Le: ("le", "at most", operator.le),
    Lt: ("lt", "below", operator.lt),
}
_PLAIN: dict[Any, str] = {
    int: "must be an integer",
    float: "must be a finite number",
    str: "must be text",
    bool: "must be true or false",
    NoneType: "must be left out",
}


def problem_of(value: Any, kind: Any) -> str:
    """What keeps a value from being of a kind, as a study file's models would say it; empty where it fits.

    Args:
        value: as read from YAML or JSON; numbers are not made from text, nor integers from fractions.
        kind: `int`, `float`, `str`, `bool`, `list[...]`, `Mapping[str, ...]`, `Literal`, a union of these, or one
            `Annotated` with limits.

    Example:
        >>> problem_of(2.5, Positive), problem_of(0, Positive), problem_of(3, Positive)
        ('must be an integer', 'must be at least 1', '')
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return problem_of(value, parts[0]) or _beyond(value, parts[1:])
    if origin in (Union, UnionType):
        return _of_none(value, parts)
    if origin is Literal:
        named = any(value == part and type(value) is type(part) for part in parts)
        return "" if named else f"must be {' or '.join(map(repr, parts))}"
    if origin is list:
        inner = [problem_of(entry, parts[0]) for entry in value] if isinstance(value, list) else ["must be a list"]
        return next(filter(None, inner), "")
    if origin is not None and issubclass(origin, Mapping):
        return _in_mapping(value, parts[1])
    return "" if kind is Any or _is_plain(value, kind) else _PLAIN[kind]


def _is_plain(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _beyond(value: Any, limits: Iterable[Any]) -> str:
    for limit in limits:
        if isinstance(limit, Len):
            if len(value) < limit.min_length:
                return "must not be empty"
            continue
        if isinstance(limit, Predicate):
            if not limit.func(value):
                return NOT_DOTTED
            continue
        name, words, is_within = _LIMITS[type(limit)]
        if not is_within(value, getattr(limit, name)):
            return f"must be {words} {getattr(limit, name):g}"
    return ""


def _of_none(value: Any, kinds: Iterable[Any]) -> str:
    """Why it is of none of the kinds: a limit that it breaks says more than the names of other kinds."""
    problems = {kind: problem_of(value, kind) for kind in kinds if kind is not NoneType or value is None}
    if not all(problems.values()):
        return ""
    near = [
        problem for problem in problems.values() if problem not in (*_PLAIN.values(), NOT_DOTTED) and "'" not in problem
    ]
    first, *others = dict.fromkeys([problem for problem in near if problem != "must be a list"] or problems.values())
    return " or ".join([first, *(other.removeprefix("must be ") for other in others)])


def _in_mapping(value: Any, kind: Any) -> str:
    if not isinstance(value, Mapping):
        return "must be a mapping"
    if not all(isinstance(key, str) for key in value):
        return "must have keys that are text"
    found = ((key, problem_of(entry, kind)) for key, entry in value.items())
    return next((f"{key}: {problem}" for key, problem in found if problem), "")
