"""Tells that memory ran out from other errors, and what helps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from components.plain_text import error_text

_HINT = (
    "Hint: make training.batch or training.crop smaller (training.accumulate keeps the size of a step), or the network."
)


def memory_hint(error: BaseException) -> str:
    """What to do about an error if it says that memory ran out; empty for every other.

    PyTorch's allocator on the CPU raises a plain RuntimeError, which only its text tells apart.

    Example:
        >>> memory_hint(ValueError("no"))
        ''
    """
    text = error_text(error).lower()  # its own `str` may fail
    out = isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )
    return _HINT if out else ""


@contextmanager
def memory_hinted() -> Iterator[None]:
    """Add to an error of memory what helps."""
    try:
        yield
    except Exception as error:
        hint = memory_hint(error)
        if hint and hint not in getattr(error, "__notes__", ()):
            error.add_note(hint)
        raise
