"""Weights that other programs saved: safetensors and torch's own files, without ever unpickling code."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from components.checkpoints.files import hash_file
from components.checkpoints.format import PARTS, TrainingState, load_part
from components.checkpoints.record import CheckpointRecord
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError

_WEIGHTS = ("state_dict", "model_state_dict", "model")  # where trainers put a network's tensors
_OPTIMIZER = ("optimizer_state_dict", "optimizer")
_WRAPPERS = ("module.", "_orig_mod.")  # DataParallel and DDP; torch.compile
_SHOWN = 3


@dataclass(frozen=True)
class ForeignCheckpoint:
    """What a file of another program holds.

    Attributes:
        weights: the network's tensors, on the CPU.
        optimizer: its optimiser's state, or None.
        epoch: where the file names one, else 0.
    """

    weights: dict[str, Tensor]
    optimizer: Mapping[str, Any] | None = None
    epoch: int = 0


def read_foreign(path: Path) -> ForeignCheckpoint:
    """Read a `.safetensors` file, or what `torch.save` wrote: a state dict, or one nested as trainers do.

    Torch files are read with `weights_only=True`, which builds tensors and plain containers and runs nothing else;
    there is no way around it. `module.` and `_orig_mod.` before every name are taken off.

    Raises:
        CheckpointNotFoundError: there is no such file.
        CheckpointDamagedError: it cannot be read, or holds no plain state dict.

    Example:
        >>> read_foreign(Path("old/model.pth")).weights["conv.weight"].shape  # doctest: +SKIP
        torch.Size([16, 1, 3, 3])
    """
    if not path.is_file():
        raise CheckpointNotFoundError(f"{path}: no such file.")
    try:
        if path.suffix == ".safetensors":
            return ForeignCheckpoint(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Both readers raise whatever they stumble upon; to the user all of it means the same.
        raise CheckpointDamagedError(
            f"{path} cannot be read ({_reason(error)}). Hint: give safetensors, or a plain state dict."
        ) from error
    return _sorted_out(path, content)


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


def restore_foreign(path: Path, state: TrainingState) -> CheckpointRecord:
    """Fill model and optimiser from a file of another program.

    Returns:
        A record without metrics; its hash is that of the file.

    Raises:
        CheckpointNotFoundError: there is no such file.
        CheckpointDamagedError: it cannot be read.
        CheckpointError: it lacks a part that is asked for, or the weights are of another network.
    """
    found = read_foreign(path)
    held = {"model", *(["optimizer"] if found.optimizer is not None else [])}
    wanted = [name for name in ("model", *PARTS) if getattr(state, name) is not None]
    missing = [name for name in wanted if name not in held] + (["rng"] if state.rng else [])
    if missing:
        raise CheckpointError(f"{path}: holds no {', '.join(missing)}. Hint: load without it.")
    if state.model is not None:
        misfit = describe_misfit(state.model, found.weights)
        if misfit:
            raise CheckpointError(f"{path} {misfit}. Hint: it must come from the same network.")
        state.model.load_state_dict(found.weights, strict=False)  # what is no tensor stays as built
    if state.optimizer is not None and found.optimizer is not None:
        load_part(state.optimizer, found.optimizer)
    facts = path.stat()
    return CheckpointRecord(
        path=path,
        model_name=path.stem,
        epoch=found.epoch,
        step=None,
        metrics={},
        kind="foreign",
        created=datetime.fromtimestamp(facts.st_mtime, UTC),
        metadata={},
        manifest_sha256=hash_file(path),
        bytes=facts.st_size,
    )


def _sorted_out(path: Path, content: Any) -> ForeignCheckpoint:
    whole = content if isinstance(content, dict) else {}
    found = [whole[name] for name in _WEIGHTS if isinstance(whole.get(name), dict)]
    weights = found[0] if found else content
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointDamagedError(f"{path} holds no plain state dict. Hint: torch.save(model.state_dict(), path).")
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in weights):
            weights = {name.removeprefix(wrapper): value for name, value in weights.items()}
    optimizers = [whole[name] for name in _OPTIMIZER if found and isinstance(whole.get(name), dict)]
    epoch = whole.get("epoch") if found else None
    return ForeignCheckpoint(
        weights=dict(weights),
        optimizer=optimizers[0] if optimizers else None,
        epoch=epoch if type(epoch) is int else 0,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return "it holds no tensors, or other things besides"  # torch's own text advises to run the file's code
    return str(error).partition("\n")[0] or type(error).__name__
