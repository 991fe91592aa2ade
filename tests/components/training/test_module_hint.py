import pytest
import torch
from torch import nn

from components.training.module_hint import module_hint


def test_an_error_of_a_network_names_the_module_and_what_it_was_given() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 1, 1)))
    with pytest.raises(RuntimeError) as raised:
        network(torch.zeros(2, 1, 6, 5))
    assert module_hint(raised.value) == "Hint: it came from 1.1 (Conv2d) of Sequential, given 2×4×6×5."


def test_the_network_itself_is_named_where_no_part_of_it_failed() -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ValueError(f"no {images.ndim} axes")

    with pytest.raises(ValueError, match="no 2 axes") as raised:
        Broken()(torch.zeros(3, 2))
    assert module_hint(raised.value) == "Hint: it came from the network itself (Broken) of Broken, given 3×2."
