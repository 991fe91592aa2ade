"""Reading a study file: YAML as people mean it, overrides from the command line, and the place of every setting."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from components.errors import ComponentError, InvalidInputError
from components.yaml_text import SettingsLoader, parse, unshared
from search_spaces.errors import SpaceError
from tuning.config import StudyConfig, set_by_path
from tuning.config.paths import split_path
from tuning.config.problems import dotted_path
from tuning.errors import StudyConfigError

MAY_MOVE = (
    "data.root",
    "model.weights",
    "script.path",
)  # relative to the study file; from the command line, to where one stands
_KEY = r"""(?:[\w-]+|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_DOTTED = re.compile(rf"{_KEY}(?:\.{_KEY})*(?=: )")


@dataclass
class StudyFile:
    """The settings of a study file, not yet validated, and where each stands.

    Attributes:
        settings: nested mapping, overrides laid over it.
        name: the file, as errors name it.
        places: `file:line:column`, or `-s` for an override, by dotted path.
        problems: keys that stand twice, and paths that are none.
    """

    settings: dict[str, Any]
    name: str
    places: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def load(self) -> StudyConfig:
        """Validate the settings.

        Raises:
            StudyConfigError: lists every problem with its place, one a line.
        """
        problems = list(self.problems)
        try:
            config = StudyConfig.load(self.settings)
        except StudyConfigError as error:
            problems += [self._with_place(line) or f"{self.name}: {line}" for line in str(error).splitlines()]
        if problems:
            raise StudyConfigError("\n".join(problems))
        return config

    @contextlib.contextmanager
    def placed(self) -> Iterator[None]:
        """Put the place before every line of an error that begins with a setting of this file."""
        try:
            yield
        except (StudyConfigError, ComponentError, SpaceError) as error:
            text = "\n".join(self._with_place(line) or line for line in str(error).splitlines())
            kind = StudyConfigError if isinstance(error, SpaceError) else type(error)
            raise kind(text) from error

    def place(self, path: str) -> str:
        """Where a setting stands, or else the section that it belongs to, or else the file."""
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        return self.places.get(path, self.name)

    def _with_place(self, line: str) -> str | None:
        match = _DOTTED.match(line)
        known = match and (match[0] in self.places or match[0].partition(".")[0] in StudyConfig.model_fields)
        if match is None or not known:
            return None
        place = self.place(match[0])
        return f"{place}: {line}" if place == self.name else f"{place} {line}"


def read_study_file(path: Path, overrides: list[str] | None = None) -> StudyFile:
    """Read the settings of a study file and lay `key=value` overrides over them.

    Args:
        path: YAML file.
        overrides: such as `training.lr=1e-3`; values are read as YAML.

    Raises:
        StudyConfigError: the file is missing or no YAML mapping, or an override has no `=`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyConfigError(
            f"{path}: no such study file. Hint: write one with segtune init FOLDER, or start from one in examples/."
        ) from None
    except OSError as error:
        raise StudyConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise StudyConfigError(f"{path}: cannot be read: {error}. Hint: save it as UTF-8.") from None
    loader, node, settings = _parse(text, str(path))
    if node is None or not isinstance(settings, dict):
        raise StudyConfigError(f"{path}: found {type(settings).__name__}, expected a mapping of sections such as data:")
    file = StudyFile(unshared(settings), str(path))
    file.problems += [f"{path}:{mark.line + 1}:{mark.column + 1} {text}" for mark, text in loader.duplicates]
    _note_places(loader, node, (), file, seen=set())
    resolve_paths(file, file.settings, path.absolute().parent)
    for override in overrides or []:
        lay_over(file, override)
    return file


def _parse(text: str, name: str) -> tuple[SettingsLoader, yaml.Node | None, Any]:
    try:
        return parse(text, name)
    except InvalidInputError as error:
        raise StudyConfigError(str(error)) from None


def _note_places(
    loader: SettingsLoader, node: yaml.Node, path: tuple[str, ...], file: StudyFile, *, seen: set[int]
) -> None:
    """Note the place of every key and list entry; what an alias repeats is noted once, its own keys win over merged."""
    if id(node) in seen:
        return
    seen.add(id(node))
    entries: list[tuple[Any, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        entries = [(loader.construct_object(key), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        entries = [(index, item, item) for index, item in enumerate(node.value)]
    for key, shown, value in entries:
        below, mark = (*path, str(key)), shown.start_mark
        file.places[dotted_path(below)] = f"{file.name}:{mark.line + 1}:{mark.column + 1}"
        _note_places(loader, value, below, file, seen=seen)


def lay_over(file: StudyFile, override: str) -> None:
    """Lay one `key=value` over the settings of a file.

    Raises:
        StudyConfigError: there is no `=`, or the key goes through what is no mapping.
    """
    key, separator, text = (part.strip() for part in override.partition("="))
    if not separator or not key:
        raise StudyConfigError(f"-s {override}: expected key=value, such as training.lr=1e-3.")
    shown = dotted_path(split_path(key))
    loader, _, value = _parse(text, f"-s {shown}")
    layer: dict[str, Any] = {}
    set_by_path(layer, key, value)
    file.places = {path: place for path, place in file.places.items() if not path.startswith(f"{shown}.")}
    file.places[shown] = "-s"
    resolve_paths(file, layer, Path.cwd())
    try:
        set_by_path(file.settings, key, reduce(dict.__getitem__, split_path(key), layer))
    except StudyConfigError as error:
        raise StudyConfigError(f"-s {error}") from None
    file.problems += [f"-s {shown} {problem}" for _, problem in loader.duplicates]


def resolve_paths(file: StudyFile, settings: dict[str, Any], folder: Path) -> None:
    """Make the paths among the settings absolute; those that are none are noted as the file's problems."""
    search = settings.get("search")
    if isinstance(search, dict) and isinstance(studies := search.get("warm_start"), list):
        search["warm_start"] = [str((folder / text).resolve()) if isinstance(text, str) else text for text in studies]
    for path in MAY_MOVE:
        section, _, name = path.partition(".")
        values = settings.get(section)
        if isinstance(values, dict) and isinstance(text := values.get(name), str) and text:
            try:
                values[name] = str((folder / Path(text).expanduser()).resolve())
            except (RuntimeError, OSError) as error:  # no such user's home folder, links in a circle
                file.problems.append(f"{file.place(path)} {path}: {str(error).rstrip('.')}. Found: {text!r}.")
