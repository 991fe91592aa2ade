"""Pretrained weights from a file, without ever unpickling code."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from components.checkpoints.foreign import describe_misfit, read_foreign
from components.errors import CheckpointError, InvalidInputError


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
    try:
        weights = read_foreign(path).weights
    except CheckpointError as error:
        raise InvalidInputError(f"model.weights: {error}") from error
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


def hash_weights(path: Path) -> str:
    """SHA-256 of a file of weights.

    Raises:
        InvalidInputError: it is missing.
    """
    if not path.is_file():
        raise InvalidInputError(f"model.weights: {path}: no such file.")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
