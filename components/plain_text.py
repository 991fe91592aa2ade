"""Text of others (prints, errors, names, records) made harmless where it enters: encodable, bounded, nothing but text.

What a trial prints or raises may hold anything: half of a character, sequences that steer a terminal, 100 MB.
"""

import io
import re
import threading
from typing import Any

from components.references import masked

LOG_CHARACTERS = 1 << 17  # of what a trial prints between two reports: some 1,500 lines
CAUSE_CHARACTERS = 2000  # of an error's text: it stands in the journal, on the terminal and in tables
# Control characters other than tab and line break, marks that turn the direction of writing, and lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula


def escape(text: str) -> str:
    r"""The text with control and invalid characters written out; tabs and line breaks stay.

    A byte that could not be decoded, which Python keeps as a lone surrogate, is shown as that byte.

    Example:
        >>> print(escape("caf\udce9.png \x1b[2J"))
        caf\xe9.png \x1b[2J
    """
    return _UNPRINTABLE.sub(_written_out, text.replace("\r\n", "\n"))


def shorten(text: str, most: int) -> str:
    """Head and tail of a long text, with how much was left out between them.

    Example:
        >>> shorten("a" * 50 + "b" * 50, 10)
        'aaaaa[… 90 of 100 characters left out …]bbbbb'
    """
    return text if len(text) <= most else _joined(text[: most // 2], text[-(most - most // 2) :], len(text))


def tame(text: str, most: int = CAUSE_CHARACTERS) -> str:
    """Bounded and escaped: what may be recorded and shown of a text of others."""
    return shorten(escape(shorten(text, most)), 2 * most)  # escapes may make it longer


def error_text(error: BaseException) -> str:
    """Kind and message of an error, tamed; also of one whose own `str` fails.

    Example:
        >>> error_text(ValueError("no step"))
        'ValueError: no step'
    """
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as second:  # noqa: BLE001 - it is a stranger's method
        text = f"(its text cannot be made: {type(second).__name__})"
    return tame(masked(f"{name}: {text}" if text else name))


def guard_cell(value: Any) -> Any:
    """A cell of a CSV file that no spreadsheet computes: text like a formula gets an apostrophe; numbers stay numbers.

    Example:
        >>> guard_cell("=1+1"), guard_cell("-0.5"), guard_cell(-0.5)
        ("'=1+1", '-0.5', -0.5)
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


class BoundedText(io.TextIOBase):
    """A stream that keeps the head and the tail of what is written to it, and how much there was.

    Several threads may write. Closing it, which a stranger's code may do to its standard output, does nothing.

    Args:
        most: characters that are kept.
    """

    encoding, errors = "utf-8", "backslashreplace"

    def __init__(self, most: int = LOG_CHARACTERS) -> None:
        self._half = most // 2
        self._lock = threading.Lock()
        self._head, self._tail, self._written = io.StringIO(newline=""), "", 0

    def write(self, text: str) -> int:
        """Take a piece of text."""
        with self._lock:
            room = max(self._half - self._written, 0)
            self._head.write(text[:room])
            self._written += len(text)
            rest = text[room:]
            if rest:
                self._tail += rest[-2 * self._half :]
                if len(self._tail) > 2 * self._half:  # not at each write, which would copy it each time
                    self._tail = self._tail[-self._half :]
        return len(text)

    def take(self) -> str:
        """What came since the last call, tamed."""
        with self._lock:
            head, tail, written = self._head.getvalue(), self._tail[-self._half :], self._written
            self._head, self._tail, self._written = io.StringIO(newline=""), "", 0
        text = head + tail if len(head) + len(tail) == written else _joined(head, tail, written)
        return escape(text)

    def writable(self) -> bool:
        """It is written to."""
        return True

    def close(self) -> None:
        """Stay open."""


def _joined(head: str, tail: str, length: int) -> str:
    return f"{head}[… {length - len(head) - len(tail):,} of {length:,} characters left out …]{tail}"


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - `surrogateescape` (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - a byte
