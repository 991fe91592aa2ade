"""YAML as people mean it in a file of settings, and nothing that such a file does not need."""

import re
from typing import Any

import yaml

from components.errors import InvalidInputError

_STANDARD = "tag:yaml.org,2002:"
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
# Far beyond any settings; aliases of aliases and deep nesting would otherwise take all memory or the stack later on.
_MOST_VALUES, _DEEPEST, _INTEGERS_END = 100_000, 50, 2**63


class SettingsLoader(yaml.SafeLoader):
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


def _refuse_tag(_loader: SettingsLoader, node: yaml.Node) -> None:
    raise _refusal(node, f"found the tag {_tag(node)}; expected text, a number, a list or a mapping")


_FLOAT = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
SettingsLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
SettingsLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag.removeprefix(_STANDARD) not in ("timestamp", "value")]
    for first, resolvers in SettingsLoader.yaml_implicit_resolvers.items()
}
SettingsLoader.yaml_constructors = {
    f"{_STANDARD}{kind}": yaml.SafeLoader.yaml_constructors[f"{_STANDARD}{kind}"]
    for kind in ("null", "bool", "int", "float", "str", "seq", "map")
}
SettingsLoader.add_constructor(None, _refuse_tag)


def parse(text: str, name: str) -> tuple[SettingsLoader, yaml.Node | None, Any]:
    """Read a text.

    Args:
        text: YAML.
        name: of the file, for errors.

    Returns:
        The loader (with `duplicates`), the node that knows the place of every value, and the value.

    Raises:
        InvalidInputError: it is no YAML, or holds what no file of settings needs; with line and column.
    """
    try:
        loader = SettingsLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _check_extent(node, name)
        return loader, node, None if node is None else loader.construct_document(node)
    except RecursionError:
        raise InvalidInputError(f"{name}: is nested too deeply. Hint: {_DEEPEST} levels are allowed.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        reason = " ".join(", ".join(filter(None, (error.context, error.problem))).split()).rstrip(".")
        is_form = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        hint = " Hint: mind the indentation, and put text with : or # in quotes." if is_form else ""
        raise InvalidInputError(f"{name}{place} cannot be read as YAML: {reason}.{hint}") from None
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        reason = str(error).splitlines()[0]
        raise InvalidInputError(f"{name}:{line}:{column} cannot be read as YAML: {reason}.") from None


def unshared(value: Any) -> Any:
    """A copy without aliases, so that an override changes one place."""
    if isinstance(value, dict):
        return {key: unshared(inner) for key, inner in value.items()}
    return [unshared(inner) for inner in value] if isinstance(value, list) else value


def _check_extent(node: yaml.Node, name: str) -> None:
    values, depth = _extent(node, {})
    if values > _MOST_VALUES:
        raise InvalidInputError(f"{name}: holds {values} values. Hint: {_MOST_VALUES} are allowed, aliases counted.")
    if depth > _DEEPEST:
        raise InvalidInputError(f"{name}: is nested {depth} levels deep. Hint: {_DEEPEST} are allowed.")


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
