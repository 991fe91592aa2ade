"""Rows of many trials as one table, gathered column by column so that a million rows fit in memory."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_WHOLE = ("number", "epoch")


class Columns:
    """Gathers rows trial by trial; a column that a trial lacks is NaN there.

    Example:
        >>> columns = Columns()
        >>> columns.add(7, [{"epoch": 1, "val_dice": 0.5}])
        >>> columns.table()
           number  epoch  val_dice
        0       7      1       0.5
    """

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._counts: list[int] = []
        self._parts: dict[str, dict[int, npt.NDArray[Any]]] = {}

    def add(self, number: int, rows: list[dict[str, Any]]) -> None:
        """Add the rows of a trial."""
        position = len(self._numbers)
        self._numbers.append(number)
        self._counts.append(len(rows))
        names = list(rows[0])
        if any(list(row) != names for row in rows):
            names = list(dict.fromkeys(name for row in rows for name in row))
            rows = [{name: row.get(name) for name in names} for row in rows]
        values = [list(row.values()) for row in rows]
        try:
            parts = np.array(values, float).T
        except (OverflowError, TypeError, ValueError):
            parts = np.array(values, object).T
        for name, part in zip(names, parts, strict=True):
            self._parts.setdefault(name, {})[position] = _numbers(part)

    def table(self) -> pd.DataFrame:
        """All rows, in the order in which they were added."""
        numbers = np.repeat(np.array(self._numbers, np.int64), self._counts)
        joined = {name: self._join(parts) for name, parts in self._parts.items() if name != "number"}
        table = pd.DataFrame({"number": numbers, **joined})
        return table.astype({name: int for name in _WHOLE if name in table})

    def _join(self, parts: dict[int, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        filled = [
            parts[position] if position in parts else np.full(count, np.nan)
            for position, count in enumerate(self._counts)
        ]
        return np.concatenate(filled)


def _numbers(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values as numbers, if all are."""
    if part.dtype != object:
        return part
    try:
        return part.astype(float)
    except (OverflowError, TypeError, ValueError):
        return part
