"""A table finds the bin that a search finds, also on a bound and where bounds crowd."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.metrics.bins import Bins

numbers = st.floats(-20, 20, width=32, allow_nan=False)


@given(bounds=st.lists(numbers, min_size=1, max_size=40, unique=True), values=st.lists(numbers, min_size=1))
@settings(max_examples=100, deadline=None)
def test_each_number_is_in_the_bin_that_a_search_finds(bounds: list[float], values: list[float]) -> None:
    rising = torch.tensor(sorted(bounds))
    beside = [np.nextafter(np.float32(bound), np.float32(way)) for bound in bounds for way in (-99, 99)]
    found = torch.tensor([*values, *bounds, *beside], dtype=torch.float32)
    assert torch.equal(Bins(rising).of(found), torch.bucketize(found, rising, out_int32=True))


def test_bounds_that_share_a_cell_are_told_apart() -> None:
    bounds = torch.tensor([-9.0, 0.5, 0.5001, 0.5002, 9.0])
    values = torch.tensor([[0.5, 0.50005], [0.50015, 0.6]], dtype=torch.float32)
    assert Bins(bounds).of(values).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_what_is_not_finite_has_a_bin_too(dtype: torch.dtype) -> None:
    values = torch.tensor([float("-inf"), float("nan"), float("inf")], dtype=dtype)
    assert Bins(torch.tensor([0.0, 1.0])).of(values).tolist() == [0, 0, 2]
