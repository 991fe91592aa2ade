"""Predicted masks survive packing exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.metrics.dice import Mode
from components.metrics.masks import PackedMasks, hard_masks

MODES: tuple[Mode, ...] = ("binary", "multilabel", "multiclass")
CHANNELS = {"binary": 1, "multilabel": 3, "multiclass": 4}


def logits(mode: Mode, sizes: list[tuple[int, ...]]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, CHANNELS[mode], *size, generator=generator) for size in sizes]


@given(
    st.sampled_from(MODES),
    st.lists(
        st.one_of(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 5)] * 3)), min_size=1, max_size=4
    ),
)
def test_masks_of_any_size_come_back(mode: Mode, sizes: list[tuple[int, ...]]) -> None:
    packed, expected = PackedMasks(mode), []
    for part in logits(mode, sizes):
        packed.add(part)
        expected += list(hard_masks(part, mode))
    again = PackedMasks.from_tensors(mode, packed.to_tensors())
    for masks in (packed, again):
        found = masks.unpack([mask.shape for mask in expected])
        assert all(np.array_equal(a, b) and a.dtype == np.uint8 for a, b in zip(found, expected, strict=True))


def test_the_decision_is_at_one_half_and_at_the_largest_logit() -> None:
    binary = torch.tensor([[[[0.0, 1e-6, -1e-6]]]])
    assert hard_masks(binary, "binary").tolist() == [[[[0, 1, 0]]]]
    several = torch.tensor([[[[0.1, 5.0]], [[0.2, -5.0]], [[0.3, 5.0]]]])
    assert hard_masks(several, "multiclass").tolist() == [[[2, 0]]]
    assert hard_masks(several, "multilabel").tolist() == [[[[1, 1]], [[1, 0]], [[1, 1]]]]
    assert hard_masks(several.bfloat16(), "multiclass").dtype == np.uint8


def test_a_batch_is_packed_case_by_case() -> None:
    batch = torch.cat(logits("multilabel", [(4, 5)] * 3))
    together, apart = PackedMasks("multilabel"), PackedMasks("multilabel")
    together.add(batch)
    for index in range(len(batch)):
        apart.add(batch[index : index + 1])
    assert all(
        torch.equal(a, b) for a, b in zip(together.to_tensors().values(), apart.to_tensors().values(), strict=True)
    )


def test_smooth_masks_become_small() -> None:
    disc = (torch.linspace(-1, 1, 256)[:, None] ** 2 + torch.linspace(-1, 1, 256) ** 2 < 0.5).float() - 0.5
    packed = PackedMasks("binary")
    packed.add(disc[None, None])
    assert len(packed.to_tensors()["content"]) < 256 * 256 / 8 / 4


def test_no_mask_at_all_can_be_kept_too() -> None:
    assert PackedMasks.from_tensors("binary", PackedMasks("binary").to_tensors()).unpack([]) == []


@pytest.mark.parametrize("mode", MODES)
def test_other_numbers_and_sizes_are_refused(mode: Mode) -> None:
    packed = PackedMasks(mode)
    packed.add(torch.ones(2, CHANNELS[mode], 4, 4))
    shape = (4, 4) if mode == "multiclass" else (CHANNELS[mode], 4, 4)
    assert len(packed.unpack([shape, shape])) == 2
    for shapes in ([shape], [shape] * 3, [shape, (*shape[:-1], 8)], [shape, (*shape[:-1], 1)]):
        with pytest.raises(ValueError, match=r"zip|unpack|reshape"):
            packed.unpack(shapes)
