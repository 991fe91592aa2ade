"""What a record should hold, and what becomes of values that are something else: undefined, and named."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

STATES = ("running", "complete", "pruned", "failed")
_LAST_EPOCH = 1 << 31  # no training is longer, and tables hold epochs in 64 bits
_LARGEST = 1e15  # of a number in a record: bytes of a petabyte, thirty million years of seconds


def is_epoch(value: object) -> bool:
    """Whether a value counts epochs."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LAST_EPOCH


def is_number(value: object) -> bool:
    """Whether a value is a number that can be added up; NaN is one."""
    return isinstance(value, int | float) and (abs(value) < _LARGEST or value != value)  # noqa: PLR0124 - NaN; isnan refuses large ones


def numbers(column: "pd.Series[Any]") -> "tuple[pd.Series[float], int]":
    """A column as numbers, and how many of its values are none; what is missing is none of these."""
    if column.dtype.kind in "iub":
        return column.astype(float), 0
    known = column.map(is_number).to_numpy(bool)
    missing = column.isna().to_numpy(bool)
    return column.where(known).astype(float), int((~known & ~missing).sum())


def as_numbers(table: pd.DataFrame, names: list[str], where: str, problems: list[str]) -> pd.DataFrame:
    """The table with some columns as numbers; what is none is left out and named.

    Args:
        table: any.
        names: of the columns.
        where: of which file the table is, for the problem.
        problems: a line a column is added.
    """
    checked = {}
    for name in names:
        checked[name], wrong = numbers(table[name])
        if wrong:
            problems.append(f"{where}: {wrong} value{'s' if wrong > 1 else ''} of {name} that are no numbers left out")
    return table.assign(**checked)


def checked_attributes(found: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What a journal says of a trial without what has another type than `segtune run` writes, and the names of that."""
    wrong = [name for name, value in found.items() if name in _CHECKS and not _CHECKS[name](value)]
    return {name: value for name, value in found.items() if name not in wrong}, wrong


def _is_stop(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.get("state") in STATES
        and all(isinstance(value.get(name, ""), str) for name in ("cause", "failure"))
    )


def _are_settings(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    weights = value.get("loss.weights") or {}
    single = {name: part for name, part in value.items() if name.startswith("loss.weights.")}
    return isinstance(weights, dict) and all(is_number(part) for part in {**weights, **single}.values())


def _are_clones(value: object) -> bool:
    return isinstance(value, list) and all(_is_clone(one) for one in value)


def _is_clone(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"number", "epoch", "source", "dice", "taken", "settings"}:
        return False
    whole = all(isinstance(value[name], int) for name in ("number", "epoch", "source"))
    return whole and is_number(value["dice"]) and all(_are_settings(value[name]) for name in ("taken", "settings"))


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "stop": _is_stop,
    "overrides": _are_settings,
    "clones": _are_clones,
    "infeasible": lambda value: isinstance(value, list) and all(isinstance(line, str) for line in value),
    "baseline": lambda value: value is None or isinstance(value, str),
    "deaths": is_epoch,
}
