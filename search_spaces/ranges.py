"""What makes a range of numbers usable."""

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TypeGuard

from search_spaces.errors import SpaceError


def is_whole(value: object) -> TypeGuard[int]:
    """Whether the value is an int; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether the value is a finite int or float."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def check_range(low: object, high: object, step: object, *, log: object, whole: bool = False) -> None:
    """Refuse a range that makes no sense.

    Args:
        low: Smallest value.
        high: Largest value, above `low`.
        step: Distance between the values, or None; must divide the range, since Optuna silently cuts it otherwise.
        log: Whether the logarithm is sampled uniformly; needs ``low > 0`` and no step.
        whole: Whether only whole numbers are meant.

    Raises:
        SpaceError: With every problem found.

    Example:
        >>> check_range(4, 16, 4, log=False, whole=True)
    """
    is_kind: Callable[[object], TypeGuard[float]] = is_whole if whole else is_number
    named = {"low": low, "high": high} | ({} if step is None else {"step": step})
    kind = "a whole number" if whole else "a finite number"
    problems = [f"{name} ({value!r}) must be {kind}." for name, value in named.items() if not is_kind(value)]
    if not isinstance(log, bool):
        problems.append(f"log ({log!r}) must be true or false.")
    if is_kind(low) and is_kind(high):
        problems += _order_problems(low, high, log=log is True)
        if is_kind(step) and low < high:
            problems += _step_problems(low, high, step, log=log is True)
    if problems:
        raise SpaceError(*problems)


def _order_problems(low: float, high: float, *, log: bool) -> list[str]:
    problems = []
    if low > high:
        problems.append(f"low ({low}) must be below high ({high}). Hint: swap them.")
    if low == high:
        hint = "Hint: set the value in the study file itself."
        problems.append(f"low and high are both {low}: nothing to search. {hint}")
    if log and low <= 0:
        problems.append(f"a log scale needs low above 0, found {low}. Hint: raise low or leave log out.")
    return problems


def _step_problems(low: float, high: float, step: float, *, log: bool) -> list[str]:
    if log:
        return ["log and step exclude each other. Hint: leave one out."]
    if step <= 0:
        return [f"step ({step}) must be above 0."]
    span = Decimal(str(high)) - Decimal(str(low))
    try:
        rest = span % Decimal(str(step))
    except InvalidOperation:  # more steps than Decimal has digits
        return [f"step ({step}) is too small for the range {low} to {high}. Hint: raise it or leave it out."]
    if rest == 0:
        return []
    fix = f"use a step of at most {span}" if span == rest else f"end the range at {Decimal(str(high)) - rest}"
    return [f"step ({step}) does not divide the range {low} to {high}. Hint: {fix}."]
