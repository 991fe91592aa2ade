"""Faster layers and chosen precision compute what PyTorch computes."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.training import accelerate, choose_precision, small_unet

LAYERS = [
    pytest.param(nn.PReLU(), (2, 3, 5, 4), id="PReLU"),
    pytest.param(nn.PReLU(init=-0.3), (7,), id="PReLU with a negative slope"),
    pytest.param(nn.Conv2d(1, 1, 3, padding=1), (2, 1, 9, 7), id="Conv2d"),
    pytest.param(nn.Conv2d(1, 1, (3, 5), padding=(0, 2), bias=False), (2, 1, 9, 11), id="Conv2d, odd kernel"),
    pytest.param(nn.Conv3d(1, 1, 3, padding=1), (2, 1, 5, 6, 4), id="Conv3d"),
]


def gradients(module: nn.Module, values: Tensor) -> list[Tensor]:
    """Output, and gradients of the input and the weights."""
    entered = values.clone().requires_grad_()
    module.zero_grad()
    result = module(entered)
    result.backward(torch.sin(torch.arange(result.numel())).reshape(result.shape).to(result))
    assert entered.grad is not None
    return [result.detach(), entered.grad, *(weight.grad for weight in module.parameters() if weight.grad is not None)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_a_fast_layer_gives_the_numbers_of_the_layer(layer: nn.Module, shape: tuple[int, ...], dtype: Any) -> None:
    layer = copy.deepcopy(layer).to(dtype)
    fast = accelerate(copy.deepcopy(layer))
    assert type(fast) is not type(layer)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    for found, expected in zip(gradients(fast, values), gradients(layer, values), strict=True):
        assert found.dtype == expected.dtype
        close = 1e-5 if dtype is torch.float32 else 0.05
        torch.testing.assert_close(found, expected, atol=close, rtol=close)


@pytest.mark.parametrize(
    "layer",
    [
        nn.PReLU(4),
        nn.Conv2d(1, 1, 1),
        nn.Conv2d(1, 2, 3),
        nn.Conv2d(2, 1, 3),
        nn.Conv2d(1, 1, 3, stride=2),
        nn.Conv2d(1, 1, 3, dilation=2),
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(1, 1, 3),
    ],
    ids=str,
)
def test_every_other_layer_stays_as_it_is(layer: nn.Module) -> None:
    kind = type(layer)
    assert type(accelerate(layer)) is kind


def test_a_network_keeps_its_weights_and_what_it_computes() -> None:
    model = small_unet(1, 1)
    fast = accelerate(copy.deepcopy(model))
    assert list(fast.state_dict()) == list(model.state_dict())
    fast.load_state_dict(model.state_dict())
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    for found, expected in zip(gradients(fast, images), gradients(model, images), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_under_autocast_the_output_has_the_dtype_of_the_layer() -> None:
    layer, images = nn.Conv2d(1, 1, 3, padding=1), torch.randn(1, 1, 8, 8)
    fast = accelerate(copy.deepcopy(layer))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert fast(images).dtype == layer(images).dtype == torch.bfloat16


def test_a_fast_network_can_be_exported() -> None:
    fast = accelerate(small_unet(1, 1))
    exported = torch.export.export(fast, (torch.zeros(1, 1, 16, 16),))
    names = {str(node.target) for node in exported.graph.nodes}
    assert any("prelu" in name for name in names)
    assert any("conv" in name for name in names)


def test_channels_last_is_taken_where_it_is_asked_for() -> None:
    model = accelerate(nn.Sequential(nn.Conv2d(4, 4, 3)), memory_format="channels_last")
    assert next(model.parameters()).is_contiguous(memory_format=torch.channels_last)
    assert next(accelerate(nn.Sequential(nn.Conv2d(4, 4, 3))).parameters()).is_contiguous()
    with pytest.raises(InvalidInputError, match="memory_format: found 'nchw'"):
        accelerate(model, memory_format="nchw")


def test_auto_is_bf16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, expected in (({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert choose_precision("auto", "cpu") == expected
        assert choose_precision("fp16", "cpu") == "fp16"
    with pytest.raises(InvalidInputError, match="precision: found 'half'"):
        choose_precision("half", "cpu")
