"""Secrets by reference: a setting says `${NAME}`, and the environment has the value where it is used.

What is recorded, logged and shown is the reference. Passwords that stand in a URL all the same are masked.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.errors import InvalidInputError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# All parts are bounded, as the text may be megabytes that a trial has raised.
_PASSWORD = re.compile(
    r"(?P<before>(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://[^/\s:@?#]{0,200}:)(?P<password>[^/\s@]{1,500})(?=@)"
)
_SHORTEST = 4  # characters; a shorter value stands in too many texts by chance
_resolved: dict[str, str] = {}


def resolve(text: str, where: str) -> str:
    """A text with each `${NAME}` replaced by the value in the environment.

    Args:
        text: of a setting.
        where: dotted path of the setting, for the error.

    Raises:
        InvalidInputError: a name is not in the environment.

    Example:
        >>> resolve("sqlite:///studies.db", "storage.url")
        'sqlite:///studies.db'
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise InvalidInputError(
                f"{where}: {match[0]} is not set in the environment. Hint: export {match[1]}=… before the command."
            )
        if len(found) >= _SHORTEST:
            _resolved[found] = match[0]
        return found

    return _REFERENCE.sub(value, text)


def resolve_all(value: Any, where: str) -> Any:
    """As `resolve`, of every text in nested mappings and lists."""
    if isinstance(value, str):
        return resolve(value, where)
    if isinstance(value, Mapping):
        return {name: resolve_all(part, f"{where}.{name}") for name, part in value.items()}
    if isinstance(value, Sequence):
        return [resolve_all(part, where) for part in value]
    return value


def masked(value: Any) -> Any:
    """A text, or nested mappings and lists of texts, without passwords of URLs and values of references.

    Example:
        >>> masked("postgresql://me:secret@host/studies"), masked("postgresql://me:${PASSWORD}@host/studies")
        ('postgresql://me:***@host/studies', 'postgresql://me:${PASSWORD}@host/studies')
    """
    if isinstance(value, str):
        for secret, reference in _resolved.items():
            value = value.replace(secret, reference)
        return (
            _PASSWORD.sub(lambda match: match["before"] + _shown(match["password"]), value) if "://" in value else value
        )
    if isinstance(value, Mapping):
        return {name: masked(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [masked(part) for part in value]
    return value


def refuse_password(url: str) -> str:
    """A URL as it is.

    Raises:
        ValueError: it holds a password.
    """
    if masked(url) != url:
        raise ValueError(
            "holds a password, which would be recorded. Hint: write ${NAME} in its place, such as "
            "postgresql://me:${DB_PASSWORD}@host/studies, and set NAME in the environment"
        )
    return url


def _shown(password: str) -> str:
    return password if _REFERENCE.fullmatch(password) else "***"
