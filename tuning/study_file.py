"""Reading a study file: YAML as people mean it, and overrides from the command line."""

import re
from pathlib import Path
from typing import Any

import yaml

from tuning.config import set_by_path
from tuning.errors import StudyConfigError


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `1e-3` as a number and refuses a key that stands twice."""


_FLOAT = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def _unique_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key, line = loader.construct_object(key_node), key_node.start_mark.line + 1
        if key in seen:
            mark = key_node.start_mark
            raise StudyConfigError(
                f"{mark.name}:{line}:{mark.column + 1} the key {key!r} stands twice (first in line {seen[key]}). "
                "Hint: keep one."
            )
        seen[key] = line
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)


def read_study_file(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """Read the settings of a study file and lay `key=value` overrides over them.

    Args:
        path: YAML file.
        overrides: such as `training.lr=1e-3`; values are read as YAML.

    Returns:
        Nested settings, not yet validated.

    Raises:
        StudyConfigError: the file is missing or no YAML mapping, a key stands twice, or an override has no `=`.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            settings = yaml.load(stream, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise StudyConfigError(f"{path}: no such study file. Hint: start from one in examples/.") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise StudyConfigError(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(settings, dict):
        raise StudyConfigError(f"{path}: found {type(settings).__name__}, expected a mapping of sections such as data:")
    for override in overrides or []:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise StudyConfigError(f"-s {override}: expected key=value, such as training.lr=1e-3.")
        try:
            set_by_path(settings, key.strip(), yaml.load(value, Loader=_Loader))  # noqa: S506 - a SafeLoader
        except (yaml.YAMLError, AttributeError, TypeError):
            raise StudyConfigError(f"-s {override}: cannot be laid over the file's settings.") from None
    return settings
