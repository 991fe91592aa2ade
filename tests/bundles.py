"""Bundles of small networks, written by the tests."""

from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from components.deployment import write_bundle, write_onnx
from components.deployment.carried import write_predictor, write_sums
from tuning.identity import versions

CONV: dict[int, str] = {2: "torch.nn:Conv2d", 3: "torch.nn:Conv3d"}


def make_bundle(
    folder: Path,
    model: nn.Module,
    *,
    channels: int = 1,
    axes: int = 2,
    divisor: int = 4,
    fixed: list[int] | None = None,
    network: dict[str, Any] | None = None,
    given: dict[str, Any] | None = None,
    output: dict[str, Any] | None = None,
    tiling: dict[str, Any] | None = None,
    tta: dict[str, Any] | None = None,
) -> Path:
    """A bundle of a network of one binary class; the last four arguments change what it says of itself."""
    folder.mkdir()
    write_onnx(folder / "model.onnx", model, channels=channels, axes=axes, divisor=divisor, size=fixed)
    description = {
        "study": "cells",
        "trial": "trial 3",
        "epoch": 7,
        "network": network or {"build": "none", "arguments": {}},
        "input": {"channels": channels, "axes": axes, "normalize": "zscore", "divisor": divisor, **(given or {})},
        "output": {
            "mode": "binary",
            "classes": ["cell"],
            "colours": [[0, 0, 0], [9, 9, 9]],
            "threshold": [0.5],
            "temperature": 1.0,
            **(output or {}),
        },
        "tiling": {"size": [16] * axes, "overlap": 0.25, "blend": "gaussian", **(tiling or {})},
        "onnx": {"fixed_size": fixed},
        **({} if tta is None else {"tta": tta}),
        "versions": versions(),
    }
    write_bundle(folder, save(dict(model.state_dict())), description, {})
    write_predictor(folder)
    write_sums(folder)
    return folder


def conv_bundle(folder: Path, conv: nn.Conv2d | nn.Conv3d, **changes: Any) -> Path:
    """A bundle of one convolution, which `bundle.json` can build again."""
    arguments = {
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": list(conv.kernel_size),
        "padding": "same",
    }
    axes = len(conv.kernel_size)
    network = {"build": CONV[axes], "arguments": arguments}
    return make_bundle(folder, conv, channels=conv.in_channels, axes=axes, network=network, **changes)
