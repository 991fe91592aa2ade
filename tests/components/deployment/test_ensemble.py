"""The mean probability of several networks, as logits."""

from typing import Any

import pytest
import torch
from torch import nn

from components.deployment.ensemble import Ensemble
from components.errors import InvalidInputError


def conv(outputs: int) -> dict[str, Any]:
    return {"build": "torch.nn:Conv2d", "arguments": {"in_channels": 1, "out_channels": outputs, "kernel_size": 1}}


@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("members", [1, 3])
def test_its_probabilities_are_the_mean_of_its_members(mode: str, members: int) -> None:
    torch.manual_seed(0)
    outputs = 1 if mode == "binary" else 3
    ensemble, image = Ensemble(mode, [conv(outputs)] * members).double(), torch.randn(2, 1, 4, 4).double()

    def activated(logits: torch.Tensor) -> torch.Tensor:
        return logits.double().softmax(dim=1) if mode == "multiclass" else logits.double().sigmoid()

    expected = torch.stack([activated(member(image)) for member in ensemble.members]).mean(dim=0)
    torch.testing.assert_close(activated(ensemble(image)), expected, atol=1e-6, rtol=0)


def test_it_stays_finite_where_members_are_sure() -> None:
    ensemble = Ensemble("binary", [conv(1)] * 2)
    for member, bias in zip(ensemble.members, (200.0, -200.0), strict=True):
        assert isinstance(member, nn.Conv2d)
        assert member.bias is not None
        nn.init.zeros_(member.weight)
        nn.init.constant_(member.bias, bias)
    assert ensemble(torch.zeros(1, 1, 2, 2)).abs().max() < 1e-3  # one says 1, the other 0: one half


def test_without_members_it_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="members: found none; expected one network at least"):
        Ensemble("binary", [])
