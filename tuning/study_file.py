"""Reading a study file: YAML as people mean it, overrides from the command line, and the place of every setting."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from components.errors import ComponentError
from search_spaces.errors import SpaceError
from tuning.config import StudyConfig, set_by_path
from tuning.config.problems import dotted_path
from tuning.errors import StudyConfigError

_PATHS = ("data.root", "model.weights")  # relative to the study file; from the command line, to where one stands
_KEY = r"""(?:[\w-]+|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_DOTTED = re.compile(rf"{_KEY}(?:\.{_KEY})*(?=: )")

_STANDARD = "tag:yaml.org,2002:"
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
# Far beyond any study; aliases of aliases and deep nesting would otherwise take all memory or the stack later on.
_MOST_VALUES, _DEEPEST, _INTEGERS_END = 100_000, 50, 2**63


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
    file = StudyFile(_unshared(settings), str(path))
    file.problems += [f"{path}:{mark.line + 1}:{mark.column + 1} {text}" for mark, text in loader.duplicates]
    _note_places(loader, node, (), file, seen=set())
    _resolve(file, file.settings, path.absolute().parent)
    for override in overrides or []:
        _lay_over(file, override)
    return file


class _Loader(yaml.SafeLoader):
    """Reads the values that JSON knows, `1e-3` as a number, a date as text, and notes every key that stands twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.duplicates: list[tuple[yaml.Mark, str]] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Note keys that stand twice; later on, merged keys stand beside the node's own."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            name = str(key.value)
            if name in lines:
                first = f"stands twice (first in line {lines[name]}). Hint: keep one."
                self.duplicates.append((key.start_mark, f"the key {name!r} {first}"))
            lines.setdefault(name, key.start_mark.line + 1)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's own
        """Make the value, and give every refusal its place."""
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            # What PyYAML's constructors raise for a value that does not fit its tag, such as !!int x.
            raise _refusal(node, f"found {str(node.value)!r}, which is no {_tag(node)}") from error
        if isinstance(value, int) and abs(value) >= _INTEGERS_END:
            raise _refusal(node, "found an integer that is too large; expected one below 2**63")
        if isinstance(value, str) and _UNUSABLE.search(value):
            raise _refusal(node, "found text that holds NUL or half of a surrogate pair")
        return value


def _refusal(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _tag(node: yaml.Node) -> str:
    return str(node.tag).replace(_STANDARD, "!!")


def _refuse_tag(_loader: _Loader, node: yaml.Node) -> None:
    raise _refusal(node, f"found the tag {_tag(node)}; expected text, a number, a list or a mapping")


_FLOAT = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag.removeprefix(_STANDARD) not in ("timestamp", "value")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.yaml_constructors = {
    f"{_STANDARD}{kind}": yaml.SafeLoader.yaml_constructors[f"{_STANDARD}{kind}"]
    for kind in ("null", "bool", "int", "float", "str", "seq", "map")
}
_Loader.add_constructor(None, _refuse_tag)


def _parse(text: str, name: str) -> tuple[_Loader, yaml.Node | None, Any]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _check_extent(node, name)
        return loader, node, None if node is None else loader.construct_document(node)
    except RecursionError:
        raise StudyConfigError(f"{name}: is nested too deeply. Hint: {_DEEPEST} levels are allowed.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        reason = " ".join(", ".join(filter(None, (error.context, error.problem))).split()).rstrip(".")
        is_form = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        hint = " Hint: mind the indentation, and put text with : or # in quotes." if is_form else ""
        raise StudyConfigError(f"{name}{place} cannot be read as YAML: {reason}.{hint}") from None
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        reason = str(error).splitlines()[0]
        raise StudyConfigError(f"{name}:{line}:{column} cannot be read as YAML: {reason}.") from None


def _unshared(value: Any) -> Any:
    """A copy without aliases, so that an override changes one place."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def _check_extent(node: yaml.Node, name: str) -> None:
    values, depth = _extent(node, {})
    if values > _MOST_VALUES:
        raise StudyConfigError(f"{name}: holds {values} values. Hint: {_MOST_VALUES} are allowed, aliases counted.")
    if depth > _DEEPEST:
        raise StudyConfigError(f"{name}: is nested {depth} levels deep. Hint: {_DEEPEST} are allowed.")


def _extent(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Number and depth of the values below a node, aliases written out."""
    if id(node) not in known:
        known[id(node)] = None
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        below = [] if isinstance(node, yaml.ScalarNode) else [_extent(part, known) for part in inner]
        known[id(node)] = (1 + sum(n for n, _ in below), 1 + max((depth for _, depth in below), default=0))
    found = known[id(node)]
    if found is None:
        raise _refusal(node, "found a value that holds itself by an alias")
    return found


def _note_places(loader: _Loader, node: yaml.Node, path: tuple[str, ...], file: StudyFile, *, seen: set[int]) -> None:
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


def _lay_over(file: StudyFile, override: str) -> None:
    key, separator, text = (part.strip() for part in override.partition("="))
    if not separator or not key:
        raise StudyConfigError(f"-s {override}: expected key=value, such as training.lr=1e-3.")
    shown = dotted_path(key.split("."))
    loader, _, value = _parse(text, f"-s {shown}")
    layer: dict[str, Any] = {}
    set_by_path(layer, key, value)
    file.places = {path: place for path, place in file.places.items() if not path.startswith(f"{shown}.")}
    file.places[shown] = "-s"
    _resolve(file, layer, Path.cwd())
    try:
        set_by_path(file.settings, key, reduce(dict.__getitem__, key.split("."), layer))
    except StudyConfigError as error:
        raise StudyConfigError(f"-s {error}") from None
    file.problems += [f"-s {shown} {problem}" for _, problem in loader.duplicates]


def _resolve(file: StudyFile, settings: dict[str, Any], folder: Path) -> None:
    """Make the paths among the settings absolute."""
    for path in _PATHS:
        section, _, name = path.partition(".")
        values = settings.get(section)
        if isinstance(values, dict) and isinstance(text := values.get(name), str) and text:
            try:
                values[name] = str((folder / Path(text).expanduser()).resolve())
            except (RuntimeError, OSError) as error:  # no such user's home folder, links in a circle
                file.problems.append(f"{file.place(path)} {path}: {str(error).rstrip('.')}. Found: {text!r}.")
