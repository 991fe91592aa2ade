"""The page of faults and what becomes of them, read from the marks of the tests themselves.

python -m tests.faults.matrix > docs/reference/checkpoint_faults.md

A test that carries `@pytest.mark.fault(fault=, outcome=, cases=)` asserts that outcome. Tests of the same fault and
outcome share a row. `cases` is what one run of the test goes through: a number, or words where the number hangs on the
machine. A test that is expected to fail today says so in its row.
"""

import importlib
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
_PLACES = ("tests/components/checkpoints", "tests/faults", "tests/formats")
_HEAD = """# Faults, and what becomes of them

Each row is a fault that tests bring about, and what they assert; nothing in it is mocked. `make test` goes through a
sample, `make faults` through every case. This page is made from the marks of the tests, and a test holds it to them:
`python -m tests.faults.matrix > docs/reference/checkpoint_faults.md`.
"""
_TABLE = """| fault | outcome | `make test` | `make faults` | tests |
|---|---|---|---|---|
"""


@dataclass
class Row:
    """A fault, its outcome, and the tests that assert it.

    Attributes:
        cases: cases that `make test` (False) and `make faults` (True) go through: numbers and words.
        tests: their names.
        failing: why a test is expected to fail today; empty when none is.
    """

    fault: str
    outcome: str
    cases: dict[bool, list[int | str]] = field(default_factory=lambda: {False: [], True: []})
    tests: list[str] = field(default_factory=list)
    failing: str = ""

    def line(self) -> str:
        """A line of the table."""
        outcome = f"**does not hold yet** ({self.failing}): {self.outcome}" if self.failing else self.outcome
        cells = (self.fault, outcome, _count(self.cases[False]), _count(self.cases[True]), "<br>".join(self.tests))
        return "| " + " | ".join(cells) + " |\n"


def markdown() -> str:
    """The page."""
    parts = [_HEAD]
    for path in sorted(path for place in _PLACES for path in (ROOT / place).glob("test_*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        module = importlib.import_module(name)
        if rows := rows_of(module):
            title, source = str(module.__doc__).partition("\n")[0], path.relative_to(ROOT).as_posix()
            lines = "".join(row.line() for row in rows)
            parts.append(f"## {title.rstrip('.')}\n\n[{source}](../../{source})\n\n{_TABLE}{lines}")
    return "\n".join(parts)


def rows_of(module: ModuleType) -> list[Row]:
    """The rows of a file of tests, in its order."""
    rows: dict[tuple[str, str], Row] = {}
    for name, test in inspect.getmembers(module, inspect.isfunction):
        for mark in marks_of(test, "fault"):
            fault, outcome = mark.kwargs["fault"], mark.kwargs["outcome"]
            row = rows.setdefault((fault, outcome), Row(fault, outcome))
            _add(row, name, test, mark.kwargs.get("cases", 1))
    return sorted(rows.values(), key=lambda row: inspect.getsourcelines(getattr(module, row.tests[0].strip("`")))[1])


def marks_of(test: Callable[..., Any], name: str) -> Iterator[pytest.Mark]:
    """The marks of that name that a test carries."""
    return (mark for mark in getattr(test, "pytestmark", ()) if mark.name == name)


def _add(row: Row, name: str, test: Callable[..., Any], cases: int | str) -> None:
    runs = math.prod(len(list(mark.args[1])) for mark in marks_of(test, "parametrize"))
    counted = runs * cases if isinstance(cases, int) else f"{runs} × {cases}"
    row.cases[any(marks_of(test, "faults"))].append(counted)
    row.tests.append(f"`{name}`")
    for mark in marks_of(test, "xfail"):
        row.failing = mark.kwargs["reason"]


def _count(cases: list[int | str]) -> str:
    numbers = sum(case for case in cases if isinstance(case, int))
    return " + ".join([*([str(numbers)] if numbers else []), *(case for case in cases if isinstance(case, str))])


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - this is the page
