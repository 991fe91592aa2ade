"""A last batch of one case is joined to the one before it, only where the network cannot train on one."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmarks.toy import tiny_data
from components.data import Split, training_batches
from components.training.single_case import joins_single


def cut(cases: int) -> Split:
    split = tiny_data().train
    return replace(
        split,
        images=split.images[:cases],
        masks=split.masks[:cases],
        cases=split.cases[:cases],
        groups=split.groups[:cases],
        stored_digests=split.stored_digests[:cases],
        spacings=split.spacings[:cases],
    )


def pooled() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4))


@given(st.integers(1, 8), st.integers(1, 5), st.booleans())
def test_every_case_stays_once_and_no_batch_but_the_last_changes(cases: int, size: int, join: bool) -> None:  # noqa: FBT001
    plain, joined = (
        list(training_batches(cut(cases), size=size, seed=1, epoch=1, augment="none", join_single=chosen))
        for chosen in (False, join)
    )
    assert torch.equal(torch.cat([images for images, _ in plain]), torch.cat([images for images, _ in joined]))
    lengths = [len(images) for images, _ in joined]
    if join and cases > size > 1 and cases % size == 1:
        assert lengths == [*[size] * (cases // size - 1), size + 1]
    else:
        assert lengths == [len(images) for images, _ in plain]


@pytest.mark.parametrize(
    ("model", "cases", "batch", "expected"),
    [
        (pooled, 5, 4, True),
        (pooled, 6, 4, False),  # two are left over
        (pooled, 3, 1, False),  # nothing to be joined
        (lambda: nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4)), 5, 4, False),  # pixels enough in one case
        (lambda: nn.Conv2d(1, 4, 1), 5, 4, False),
    ],
)
def test_a_batch_is_joined_only_where_the_network_refuses_it(
    model: Any, cases: int, batch: int, *, expected: bool
) -> None:
    assert joins_single(model(), cut(cases), batch=batch) is expected


def test_asking_leaves_the_network_and_the_random_numbers_as_they_are() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout2d(0.5), pooled()).eval()
    before, random = deepcopy(model.state_dict()), torch.get_rng_state()
    assert joins_single(model, cut(5), batch=4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(part.training for part in model.modules())
