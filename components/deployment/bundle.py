"""The folder of a model that is handed over: `model.safetensors`, `bundle.json` and `metrics.json`."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load
from torch import nn

from components.checkpoints.foreign import describe_misfit
from components.deployment.errors import BundleError
from components.dotted import import_object

BUNDLE, WEIGHTS, METRICS = "bundle.json", "model.safetensors", "metrics.json"
FORMAT_VERSION = 1


def write_bundle(folder: Path, weights: bytes, description: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Write a bundle into an existing folder.

    Args:
        folder: where to.
        weights: the state dict as safetensors.
        description: JSON values; `network` holds `build` and the keyword arguments `arguments` that it is called with.
        metrics: JSON values.
    """
    sealed = {"format": FORMAT_VERSION, **description, "weights_sha256": hashlib.sha256(weights).hexdigest()}
    (folder / WEIGHTS).write_bytes(weights)
    (folder / BUNDLE).write_text(json.dumps(sealed, indent=2) + "\n", encoding="utf-8")
    (folder / METRICS).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def read_bundle(folder: Path) -> dict[str, Any]:
    """Read what a bundle says of itself, and check its weights against it.

    Raises:
        BundleError: a file is missing or damaged, or the bundle is of another format version.
    """
    try:
        description = json.loads((folder / BUNDLE).read_text(encoding="utf-8"))
        found = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder}: no whole bundle ({error}). Hint: write one with segtune export.") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT_VERSION:
        raise BundleError(f"{folder / BUNDLE}: not of format {FORMAT_VERSION}, which this segtune reads.")
    if found != description.get("weights_sha256"):
        raise BundleError(f"{folder / WEIGHTS}: its SHA-256 is not that of {BUNDLE}; the file was changed or damaged.")
    network = description.get("network")
    if not isinstance(network, dict) or not {"build", "arguments"} <= network.keys():
        raise BundleError(f"{folder / BUNDLE}: found network {network!r}; expected its build and arguments.")
    return description


def load_model(folder: Path | str) -> nn.Module:
    """Build the network of a bundle and fill it.

    Args:
        folder: the bundle.

    Returns:
        The network in evaluation mode on the CPU, from images `(B, C, *spatial)`, normalised as `bundle.json` says, to
        logits.

    Raises:
        BundleError: the bundle is not whole, or the network's code builds another network now.
        InvalidInputError: the network's code cannot be imported.

    Example:
        >>> model = load_model("bundle")  # doctest: +SKIP
        >>> model(torch.zeros(1, 1, 256, 256)).shape  # doctest: +SKIP
        torch.Size([1, 1, 256, 256])
    """
    folder = Path(folder)
    network = read_bundle(folder)["network"]
    model: nn.Module = import_object(network["build"], f"{folder / BUNDLE}: network.build")(**network["arguments"])
    weights = load((folder / WEIGHTS).read_bytes())
    misfit = describe_misfit(model, weights)
    if misfit:
        raise BundleError(
            f"{folder / WEIGHTS} {misfit}. Hint: {network['build']} must be the code that built the network then."
        )
    model.load_state_dict(weights, strict=False)  # what is no tensor stays as built
    return model.eval()
