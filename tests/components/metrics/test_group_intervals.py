"""A mean over groups and its interval against a table of Student's t."""

import math

import numpy as np
import pytest

from components.errors import InvalidInputError
from components.metrics import mean_over_groups


def test_groups_count_once_whatever_their_number_of_cases() -> None:
    """Groups 0.8, 0.6 and 0.7: deviation 0.1, and t with two degrees of freedom is 4.303 at 97.5 %."""
    per_case = np.array([[0.7], [0.9], [0.6], [0.7]])
    found = mean_over_groups(per_case, ["a", "a", "b", "c"])
    assert found.mean == pytest.approx(0.7)
    assert found.groups == 3
    assert found.high - found.mean == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_what_is_undefined_is_left_out() -> None:
    """The case of group c holds no class at all, that of b only the second."""
    per_case = np.array([[0.5, 0.7], [math.nan, 0.8], [math.nan, math.nan]])
    found = mean_over_groups(per_case, ["a", "b", "c"])
    assert found.mean == pytest.approx(0.7)
    assert found.groups == 2


def test_one_group_has_no_interval() -> None:
    found = mean_over_groups(np.array([[0.5], [0.7]]), ["a", "a"])
    assert found.mean == pytest.approx(0.6)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_nothing_to_average_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no case has a value"):
        mean_over_groups(np.array([[math.nan]]), ["a"])
    with pytest.raises(InvalidInputError, match="found 1 for 2 cases; expected one a case"):
        mean_over_groups(np.array([[0.5], [0.7]]), ["a"])
