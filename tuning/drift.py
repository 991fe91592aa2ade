"""Whether libraries or the user's own code are others than at the last attempt; shown, never refused."""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from tuning.config import StudyConfig
from tuning.packages import ROOMS

_DOTTED = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*")
_OWN = (*ROOMS, "tuning")  # segtune's version stands for them
_INSTALLED = ("site-packages", "dist-packages")  # a file of these stands for itself


def hash_code(config: StudyConfig) -> dict[str, str]:
    """SHA-256 of the modules that a study names by dotted path, and of those beside them that they use.

    Modules of installed packages are not followed further, segtune's own are left out.

    Args:
        config: of the study, whose code has been imported by its checks.

    Returns:
        Hex digest by module name.
    """
    files: dict[str, Path] = {}
    for name in sorted({match[1] for text in _texts(config.model_dump()) if (match := _DOTTED.fullmatch(text))}):
        if name.partition(".")[0] not in _OWN:
            _collect(name, files)
    if config.script is not None:
        files["the script"] = Path(config.script.path)
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files.items())}


def foreign_code(settings: Mapping[str, Any]) -> list[str]:
    """What a study's settings name by dotted path, and its script, that is not segtune's own: it runs with the study.

    Args:
        settings: of the study; nothing is imported.
    """
    named = sorted({text for text in _texts(settings) if _DOTTED.fullmatch(text)})
    found = [text for text in named if text.partition(".")[0].partition(":")[0] not in _OWN]
    script = settings.get("script") or {}
    return found + ([str(script["path"])] if script.get("path") else [])


def describe_drift(before: dict[str, Any] | None, versions: dict[str, str], code: dict[str, str]) -> list[str]:
    """What differs from the last attempt, a line each.

    Args:
        before: what was noted when it started; None when there was none.
        versions: of libraries, now.
        code: hashes of modules, now.
    """
    if before is None:
        return []
    then = before.get("versions", {})
    libraries = [
        f"{name} is {new}, was {then[name]} at the last attempt"
        for name, new in versions.items()
        if then.get(name, new) != new
    ]
    hashes = before.get("code", {})
    return libraries + [
        f"the code of {name} has changed since the last attempt"
        for name, new in code.items()
        if hashes.get(name, new) != new
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _collect(name: str, files: dict[str, Path]) -> None:
    """Note the file of a module, and of the modules under the same folder that it uses."""
    first = _file_of(name)
    if first is None:
        return
    files[name] = first
    root, queue = first.parents[name.count(".")], [name]
    while queue:
        module = sys.modules.get(queue.pop())
        for used in _used_by(module) - files.keys():
            path = _file_of(used)
            if path is not None and used.partition(".")[0] not in _OWN and _is_beside(path, root):
                files[used] = path
                queue.append(used)


def _is_beside(path: Path, root: Path) -> bool:
    return path.is_relative_to(root) and not any(part in _INSTALLED for part in path.parts)


def _used_by(module: ModuleType | None) -> set[str]:
    """Names of the modules that a module has imported, or has something of."""
    names = set()
    for value in list(vars(module).values()) if module else ():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            names.add(name)
    return names


def _file_of(name: str) -> Path | None:
    """The source of a module; None when it has none, or when a text only looked like a dotted path."""
    module = sys.modules.get(name)
    try:
        found = getattr(module, "__file__", None) if module else getattr(find_spec(name), "origin", None)
    except (ImportError, ValueError):
        return None
    path = Path(found) if found else None
    return path.resolve() if path is not None and path.is_file() else None
