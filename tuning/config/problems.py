"""What pydantic found wrong with a study file, in a user's words: one line a setting, with a hint."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from components.hints import nearest
from components.setting_types import NOT_DOTTED

Path = tuple[str | int, ...]

_LONGEST = 80  # of a value that is shown: about a line
_SENTENCES = {
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "predicate_failed": NOT_DOTTED,
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_long": "must have {max_length} entries",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "missing": "is missing",
    "invalid_key": "a key must be text",
}
_FORMS = {"name": "letters, digits, _ . and -, such as brain-1", "storage.url": "such as sqlite:////shared/studies.db"}


def describe_problems(error: ValidationError, settings: Any, model: type[BaseModel]) -> str:
    """One line a wrong setting, each beginning with its dotted path.

    Args:
        error: as raised by the model.
        settings: what was validated.
        model: the model of the whole file.
    """
    found = [_normalised(problem, settings) for problem in error.errors(include_url=False)]
    # Where a branch of a union got further than the others, they only say that their kind was not given.
    inside = {problem["path"][:depth] for problem in found for depth in range(len(problem["path"]))}
    problems: dict[Path, list[Any]] = {}
    for problem in found:
        if not (problem["path"] in inside and problem["type"].endswith(("_type", "literal_error"))):
            problems.setdefault(problem["path"], []).append(problem)
    return "\n".join(_describe(path, of_path, model) for path, of_path in problems.items())


def dotted_path(path: Iterable[object]) -> str:
    """Join keys and indices by dots; a key that would not read as part of a path is quoted.

    Example:
        >>> dotted_path(["loss", "weights", "my dice"])
        "loss.weights.'my dice'"
    """
    return ".".join(text if re.fullmatch(r"[\w.-]+", text) else _short(text) for text in map(str, path))


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a setting of this type is, also where it may be left out."""
    options = (annotation, *get_args(annotation))
    return next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)


def _normalised(problem: Any, settings: Any) -> dict[str, Any]:
    """The problem with its `path`: its location less what pydantic adds for a union's branch or a mapping's key."""
    location, kind = problem["loc"], problem["type"]
    if location and location[-1] == "[key]":
        location, kind = location[:-1], "invalid_key"
    path: list[str | int] = []
    for index, part in enumerate(location):
        is_entry = isinstance(settings, list) and isinstance(part, int) and part < len(settings)
        if is_entry or (isinstance(settings, dict) and part in settings):
            # The key as it is: pydantic's location has 1 for True.
            path.append(part if is_entry or isinstance(part, str) else next(key for key in settings if key == part))
            settings = settings[part]
        elif index == len(location) - 1 and kind in ("missing", "invalid_key"):
            if isinstance(settings, list):
                kind = "too_short"
            else:
                path.append(part)
    return {**problem, "type": kind, "path": tuple(path)}


def _describe(path: Path, problems: list[Any], model: type[BaseModel]) -> str:
    first, where = problems[0], dotted_path(path)
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown setting. {_hint_for_unknown(path, model)}"
    problems = [problem for problem in problems if problem["type"] == "invalid_key"] or problems
    text = _joined(dict.fromkeys(_sentence(problem) for problem in problems))
    silent = first["type"] in ("missing", "value_error")
    found = "" if silent else f" Found: {_short(first['input'])}."
    hints = [hint for problem in problems if (hint := _hint(problem, where, model))]
    return f"{where + ': ' if where else ''}{text}.{found}{' Hint: ' + hints[0] if hints else ''}"


def _sentence(problem: Any) -> str:
    if problem["type"] == "too_short":
        return "has too few entries"
    if problem["type"] in _SENTENCES:
        return _SENTENCES[problem["type"]].format(**problem.get("ctx", {}))
    return str(problem["msg"]).removeprefix("Value error, ").rstrip(".")


def _joined(sentences: Iterable[str]) -> str:
    """`must be an integer`, `must be a list` to `must be an integer or a list`."""
    first, *others = sentences
    return " or ".join([first, *(other.removeprefix("must be ") for other in others)])


def _hint(problem: Any, where: str, model: type[BaseModel]) -> str:
    kind, value = problem["type"], problem["input"]
    if kind == "literal_error" and isinstance(value, str):
        close = difflib.get_close_matches(value, re.findall(r"'([^']*)'", problem["ctx"]["expected"]), n=1)
        return f"did you mean {close[0]}?" if close else ""
    if kind == "string_pattern_mismatch" and where in _FORMS:
        return f"{_FORMS[where]}."
    if kind in ("string_type", "invalid_key") and isinstance(value, int | float):
        return "write it in quotes."
    if kind in ("model_type", "dict_type") and value is None:
        return "write key: value below it, or leave it out."
    if kind == "missing":
        return _meaning(problem["path"], model)
    return ""


def _meaning(path: Path, model: type[BaseModel]) -> str:
    """What a missing setting is for."""
    field = _section_of(path, model).model_fields[str(path[-1])]
    section = model_of(field.annotation)
    text = field.description or (section.__doc__ if section else None) or ""
    return text.rstrip(".") + "." if text else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _hint_for_unknown(path: Path, model: type[BaseModel]) -> str:
    """The setting of that name in another section, or else the nearest one in this section."""
    word, known = str(path[-1]), _settings_below(model)
    levels = word.split(".")
    if len(levels) > 1 and word in known:
        return f"Hint: a dot is a level in the file, write {': {'.join(levels)}: …{'}' * (len(levels) - 1)}."
    elsewhere = [setting for setting in known if setting.rpartition(".")[2] == word]
    if elsewhere:
        return f"Hint: did you mean {' or '.join(elsewhere)}?"
    return nearest(word, _section_of(path, model).model_fields)


def _settings_below(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted paths of all settings, less the sections."""
    paths: list[str] = []
    for name, field in model.model_fields.items():
        inner = model_of(field.annotation)
        paths += _settings_below(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return paths


def _section_of(path: Path, model: type[BaseModel]) -> type[BaseModel]:
    section = model
    for part in path[:-1]:
        field = section.model_fields.get(str(part))
        inner = model_of(field.annotation) if field else None
        if inner is None:
            break
        section = inner
    return section
