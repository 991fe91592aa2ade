"""Pretrained weights from a file, without ever unpickling code."""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from components.errors import InvalidInputError

_SHOWN = 3


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a network with the weights of a file.

    Args:
        model: filled in place; every tensor of its state must be in the file, and the other way round.
        path: `.safetensors`, or a state dict written by `torch.save` (read with `weights_only=True`).

    Raises:
        InvalidInputError: the file is missing, is none of both, holds other tensors than the network, only zeros, or
            NaN; names what differs.

    Example:
        >>> load_weights(model, Path("pretrained.safetensors"))  # doctest: +SKIP
    """
    weights = _read(path)
    floats = [tensor for tensor in weights.values() if tensor.is_floating_point()]
    if not all(bool(torch.isfinite(tensor).all()) for tensor in floats):
        raise InvalidInputError(f"model.weights: {path} holds NaN or infinity.")
    if floats and not any(bool(tensor.any()) for tensor in floats):
        raise InvalidInputError(f"model.weights: every weight in {path} is zero. Hint: was it saved before training?")
    misfit = describe_misfit(model, weights)
    if misfit:
        raise InvalidInputError(
            f"model.weights: {path} {misfit}. "
            "Hint: they must come from a network with the same model.build and arguments, channels and classes."
        )
    model.load_state_dict(weights, strict=False)  # what is no tensor stays as built


def describe_misfit(model: nn.Module, weights: Mapping[str, Tensor]) -> str:
    """How the tensors of a state dict differ in name or shape from those of a network; empty where they fit."""
    wanted = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    problems = [
        *(f"misses {name}" for name in wanted.keys() - weights.keys()),
        *(f"has {name}, which the network has not" for name in weights.keys() - wanted.keys()),
        *(
            f"has {name} as {tuple(weights[name].shape)}, the network needs {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in weights and weights[name].shape != tensor.shape
        ),
    ]
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(sorted(problems)[:_SHOWN]) + more


def hash_weights(path: Path) -> str:
    """SHA-256 of a file of weights.

    Raises:
        InvalidInputError: it is missing.
    """
    if not path.is_file():
        raise InvalidInputError(f"model.weights: {path}: no such file.")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InvalidInputError(f"model.weights: {path}: no such file.")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _read_torch(path)
    except Exception as error:
        # Both readers raise whatever they stumble upon; to the user all of it means the same.
        raise InvalidInputError(
            f"model.weights: {path} cannot be read ({_reason(error)}). Hint: give safetensors, or a plain state dict."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InvalidInputError(
            f"model.weights: {path} holds no plain state dict. Hint: torch.save(model.state_dict(), path)."
        )
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return "it holds no tensors, or other things besides"  # torch's own text advises to run the file's code
    return str(error).partition("\n")[0] or type(error).__name__


def _read_torch(path: Path) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    nested = content.get("state_dict") if isinstance(content, dict) else None
    return nested if isinstance(nested, dict) else content
