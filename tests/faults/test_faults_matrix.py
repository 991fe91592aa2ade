"""The page of faults says what the tests assert."""

import pytest

from tests.faults import matrix
from tests.faults.matrix import ROOT, Row, marks_of, rows_of


def test_the_page_of_faults_is_the_generated_one() -> None:
    page = (ROOT / "docs" / "reference" / "checkpoint_faults.md").read_text(encoding="utf-8")
    assert page == matrix.markdown(), "run: python -m tests.faults.matrix > docs/reference/checkpoint_faults.md"


@pytest.mark.parametrize("number", [1])
@pytest.mark.parametrize("pair", ["a", "b"])
def example(number: int, pair: str) -> None:
    """Marked below, so that the page does not list it."""


@pytest.mark.faults
@pytest.mark.xfail(strict=True, reason="a reason")
def failing_example() -> None:
    """As above."""


def test_a_row_counts_the_cases_of_its_tests_and_says_what_does_not_hold() -> None:
    row = Row("a fault", "an outcome")
    matrix._add(row, "test_sample", example, 3)
    matrix._add(row, "test_words", example, "every operation")
    matrix._add(row, "test_full", failing_example, 100)
    assert row.line() == (
        "| a fault | **does not hold yet** (a reason): an outcome | 6 + 2 × every operation | 100 |"
        " `test_sample`<br>`test_words`<br>`test_full` |\n"
    )


def test_every_mark_in_a_file_is_in_its_rows(request: pytest.FixtureRequest) -> None:
    marked = [item for item in request.session.items if item.get_closest_marker("fault")]
    for item in marked:
        assert isinstance(item, pytest.Function)
        (mark,) = marks_of(item.function, "fault")
        rows = [row for row in rows_of(item.module) if row.fault == mark.kwargs["fault"]]
        assert any(f"`{item.function.__name__}`" in row.tests for row in rows)
