"""Reads the section ``search.space`` of a study file into parameters, and names everything that is wrong in it."""

import re
from collections.abc import Mapping
from typing import Any

from search_spaces.entry import read_entry
from search_spaces.errors import SpaceError, gather, hint_for
from search_spaces.modes import BINARY, cross_entropy_term
from search_spaces.parameter import Parameter, can_hold, find_problems
from search_spaces.presets import preset_parameters

_SECTION = "search.space"
_KEYS = ("presets", "parameters")


def read_parameters(config: Mapping[str, Any], mode: str = BINARY) -> tuple[Parameter, ...]:
    """Read presets and parameters; what is named explicitly replaces the preset's of the same name.

    Args:
        config: The section as nested mappings.
        mode: ``binary`` or ``multiclass``.

    Raises:
        SpaceError: With all problems, one a line.
    """
    cross_entropy_term(mode)
    if not isinstance(config, Mapping):
        raise SpaceError(f"{_SECTION}: must be a mapping with presets and parameters, found {config!r}.")
    problems = [f"{_SECTION}: unknown key {key!r}. {hint_for(key, _KEYS)}" for key in config if key not in _KEYS]
    from_presets = _read_presets(config.get("presets"), mode, problems)
    named, unread = _read_named(config.get("parameters"), problems)
    parameters = _merge(from_presets, named, unread)
    problems += [f"{_SECTION}.parameters.{problem}" for problem in find_problems(parameters, unread)]
    if problems:
        raise SpaceError(*problems)
    return parameters


def _read_presets(value: object, mode: str, problems: list[str]) -> list[Parameter]:
    where = f"{_SECTION}.presets"
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        problems.append(f"{where}: must be a name or a list of names, found {value!r}.")
        return []
    parameters: list[Parameter] = []
    for name in dict.fromkeys(names):
        with gather(problems, f"{where}: "):
            parameters += preset_parameters(name, mode)
    return parameters


def _read_named(section: object, problems: list[str]) -> tuple[dict[str, Parameter], set[str]]:
    """Read the parameters; gives those that could be read by name, and the names of the others."""
    where = f"{_SECTION}.parameters"
    if section is None:
        return {}, set()
    if not isinstance(section, Mapping):
        problems.append(f"{where}: must be a mapping from setting to range, found {section!r}.")
        return {}, set()
    named: dict[str, Parameter] = {}
    for name, spec in section.items():
        with gather(problems, f"{where}.{_shown(name)}: "):
            named[name] = read_entry(name, spec)
    return named, set(section) - set(named)


def _shown(name: object) -> str:
    """The name as part of a place; quoted where it would not read as one, such as text of two lines."""
    return str(name) if re.fullmatch(r"[\w.-]+", str(name)) else repr(str(name))


def _merge(from_presets: list[Parameter], named: dict[str, Parameter], unread: set[str]) -> tuple[Parameter, ...]:
    """Lay the named parameters over the presets'; a preset's parameter that can no longer occur falls away."""
    merged = {parameter.name: parameter for parameter in from_presets if parameter.name not in unread} | named
    left = {
        name: parameter for name, parameter in merged.items() if name in named or _can_occur(parameter, merged, named)
    }
    while len(left) < len(merged):  # what hangs on a parameter that fell away falls too
        merged, left = (
            left,
            {
                name: parameter
                for name, parameter in left.items()
                if name in named or _has_source(parameter, left, unread)
            },
        )
    return tuple(left.values())


def _can_occur(parameter: Parameter, merged: dict[str, Parameter], named: dict[str, Parameter]) -> bool:
    when = parameter.when
    return when is None or when.parameter not in named or can_hold(merged[when.parameter], when)


def _has_source(parameter: Parameter, left: dict[str, Parameter], unread: set[str]) -> bool:
    return parameter.when is None or parameter.when.parameter in left or parameter.when.parameter in unread
