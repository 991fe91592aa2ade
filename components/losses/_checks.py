"""Checks of constructor arguments that the losses, the manager and the schedules share."""

import math
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from components.errors import InvalidInputError


def require_known(what: str, name: object, known: Collection[str]) -> None:
    """Refuse a name that is not one of the known ones, and propose the nearest."""
    if not isinstance(name, str) or name not in known:
        expected = f"expected one of {listed(known)}" if known else "there is none"
        raise InvalidInputError(f"{what}: found {name!r}; {expected}.{_nearest(name, known)}")


def require_number(what: str, value: Any, *, low: float = 0.0, high: float = math.inf, open_low: bool = False) -> float:
    """Return the value as a float, or refuse one that is no finite number between low and high."""
    number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    if not number or not low <= value <= high or (open_low and value == low):
        left = f"above {low:g}" if open_low else f"of at least {low:g}"
        right = "" if high == math.inf else f" and at most {high:g}"
        raise InvalidInputError(f"{what}: found {value!r}; expected a finite number {left}{right}.")
    return float(value)


def require_whole(what: str, value: Any, *, low: int = 0, meaning: str = "") -> int:
    """Return the value, or refuse one that is no integer of at least low."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InvalidInputError(
            f"{what}: found {value!r}; expected an integer from {low}{f', {meaning}' if meaning else ''}."
        )
    return value


def class_vector(what: str, values: Sequence[float] | Tensor | None) -> Tensor | None:
    """Return one finite number >= 0 per class as an fp32 tensor `(C,)`, at least one of them above 0."""
    if values is None:
        return None
    try:
        vector = torch.as_tensor(values, dtype=torch.float32).detach().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{what}: found {values!r}; expected one number per class.") from error
    usable = vector.ndim == 1 and vector.numel() > 0 and bool(torch.isfinite(vector).all() and (vector >= 0).all())
    if not usable or not bool((vector > 0).any()):
        raise InvalidInputError(
            f"{what}: found {values!r}; expected a list of finite numbers >= 0, one per class, at least one above 0."
        )
    return vector


def require_length(what: str, vector: Tensor, classes: int) -> None:
    """Refuse a per-class vector that does not have one entry per class."""
    if len(vector) != classes:
        raise InvalidInputError(f"{what}: found {len(vector)} entries for {classes} classes; expected one per class.")


def listed(names: Iterable[str]) -> str:
    """Quote names for an error's text."""
    return ", ".join(repr(name) for name in names) or "none"


def _nearest(name: object, known: Collection[str]) -> str:
    close = get_close_matches(str(name), list(known), n=1)
    return f" Hint: did you mean {close[0]!r}?" if close else ""
