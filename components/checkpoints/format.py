"""A checkpoint's directory: `model.safetensors`, `state.safetensors`, `state.json`; `manifest.json` is written last."""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.optim import Optimizer

from components.checkpoints.environment import environment
from components.checkpoints.files import sync_folder, write_file
from components.checkpoints.random_state import capture_random_state, restore_random_state
from components.checkpoints.record import (
    FORMAT_VERSION,
    MANIFEST,
    MODEL,
    STATE,
    STATE_JSON,
    CheckpointRecord,
    manifest_bytes,
    read_record,
    verify_checkpoint,
)
from components.checkpoints.tensor_file import write_tensors
from components.checkpoints.tree import has_non_finite, join_tree, on_cpu, split_tree
from components.errors import CheckpointDamagedError, CheckpointError, InvalidInputError

PARTS = ("optimizer", "scheduler", "scaler", "ema", "loss_schedule", "sampler", "early_stopping")


class Stateful(Protocol):
    """Anything that gives its state and takes it back."""

    def state_dict(self) -> Mapping[str, Any]:
        """The state."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take a state back."""


@dataclass
class TrainingState:
    """What a checkpoint holds; parts that are None are left out, or left alone when restored.

    Attributes:
        model: the network.
        optimizer: of its parameters.
        scheduler: of the learning rate.
        scaler: of mixed precision.
        ema: a moving average of the weights.
        loss_schedule: of the loss weights.
        sampler: of the batches, with its position.
        early_stopping: with what it has seen.
        rng: whether the global random number generators belong to it.
        extra: further JSON values and tensors by name; filled when restored.
    """

    model: nn.Module | None
    optimizer: Stateful | None = None
    scheduler: Stateful | None = None
    scaler: Stateful | None = None
    ema: Stateful | None = None
    loss_schedule: Stateful | None = None
    sampler: Stateful | None = None
    early_stopping: Stateful | None = None
    rng: bool = True
    extra: dict[str, Any] = field(default_factory=dict)


class NonFiniteWeightsError(CheckpointError, ArithmeticError):
    """The weights hold NaN or infinity, so they are not worth keeping."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that a checkpoint will hold; what training does next is not seen in it once it was copied.

    Attributes:
        weights: the model's tensors, on the CPU.
        tensors: those of the other parts.
        state_json: the rest of the other parts.
        manifest: without the list of files.
    """

    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]
    state_json: bytes
    manifest: dict[str, Any]

    def write(self, directory: Path, *, durable: bool = True) -> CheckpointRecord:
        """Write a checkpoint into a new directory, the manifest last.

        Args:
            directory: must not exist.
            durable: have every file on the disk itself before the next is written.
        """
        directory.mkdir(parents=True)
        files = {
            MODEL: write_tensors(directory / MODEL, self.weights, durable=durable),
            STATE: write_tensors(directory / STATE, self.tensors, durable=durable),
            STATE_JSON: write_file(directory / STATE_JSON, self.state_json, durable=durable),
        }
        write_file(directory / MANIFEST, manifest_bytes({**self.manifest, "files": files}), durable=durable)
        if durable:
            sync_folder(directory)
        return read_record(directory)[0]


def take_snapshot(
    state: TrainingState,
    *,
    epoch: int,
    metrics: Mapping[str, Any],
    kind: str,
    reason: str = "",
    model_name: str = "model",
    metadata: Mapping[str, Any] | None = None,
    step: int | None = None,
    copied: bool = True,
) -> Snapshot:
    """Take a training's state.

    Args:
        state: what to save; the model is needed.
        epoch: of these weights.
        metrics: numbers of exactly these weights; an `epoch` among them must be the same.
        kind: what caused the save.
        reason: the same in words.
        model_name: for people.
        metadata: further JSON values.
        step: optimiser steps that these weights have taken.
        copied: False shares tensors on the CPU with the training, for a snapshot that is written before it goes on.

    Raises:
        NonFiniteWeightsError: the weights hold NaN or infinity.
        InvalidInputError: no model, metrics of another epoch or no numbers, or metadata that are not JSON.
        CheckpointError: the state holds what cannot be saved without pickle.
    """
    if state.model is None:
        raise InvalidInputError("a checkpoint needs a model.")
    if metrics.get("epoch", epoch) != epoch:
        raise InvalidInputError(
            f"metrics of epoch {metrics['epoch']} do not belong to weights of epoch {epoch}. "
            "Hint: save after validation."
        )
    weights: dict[str, Tensor] = {}
    model_extra = _split_model(state.model, weights, copied=copied)
    if has_non_finite(weights):
        raise NonFiniteWeightsError(f"the weights of epoch {epoch} hold NaN or infinity; they are not saved.")
    tensors: dict[str, Tensor] = {}
    skeleton = split_tree(_gather(state, model_extra), tensors, "state", copied=copied)
    manifest = {
        "format": FORMAT_VERSION,
        "model_name": model_name,
        "kind": kind,
        "reason": reason,
        "weights_epoch": epoch,
        "metrics_epoch": int(metrics.get("epoch", epoch)),
        "metrics": dict(metrics),
        "created": datetime.now(UTC).isoformat(),
        **({} if step is None else {"step": step}),
        "metadata": copy.deepcopy({**environment(), **(metadata or {})}),
    }
    manifest_bytes(manifest)  # refuses what is no JSON now, not when it is written
    return Snapshot(weights, tensors, json.dumps(skeleton).encode(), manifest)


def write_checkpoint(directory: Path, state: TrainingState, *, durable: bool = True, **facts: Any) -> CheckpointRecord:
    """Take a snapshot and write it at once; `facts` as of `take_snapshot`."""
    return take_snapshot(state, copied=False, **facts).write(directory, durable=durable)


def restore_checkpoint(directory: Path, state: TrainingState) -> CheckpointRecord:
    """Verify a checkpoint and fill the parts of `state` that are given, in place.

    Tensors are read to the CPU; `load_state_dict` brings them to each part's device.

    Raises:
        CheckpointDamagedError: a file does not match the manifest.
        CheckpointError: a part is asked for that the checkpoint does not hold.
    """
    directory = Path(directory)
    record = verify_checkpoint(directory)
    weights, saved = _parse(directory)
    wanted = {name: part for name in PARTS if (part := getattr(state, name)) is not None}
    missing = [name for name in wanted if saved.get(name) is None]
    if missing or (state.rng and saved.get("rng") is None):
        raise CheckpointError(f"{directory}: holds no {', '.join(missing or ['rng'])}. Hint: load without it.")
    if state.model is not None:
        state.model.load_state_dict(weights | saved["model_extra"])
    for name, part in wanted.items():
        load_part(part, saved[name])
    if state.rng:
        restore_random_state(saved["rng"])
    state.extra.update(saved["extra"])
    return record


def load_part(part: Stateful, saved: Any) -> None:
    """Fill a part; an optimiser's moments get their weights' memory layout, which a fused step on a GPU asks for."""
    part.load_state_dict(saved)
    for weight, moments in part.state.items() if isinstance(part, Optimizer) else ():
        for name, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape and moment.stride() != weight.stride():
                moments[name] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)


def _parse(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the other parts' state. The manifest vouches for the files, but anyone can write a manifest."""
    with _parsing(directory / MODEL) as path:
        weights = load(path.read_bytes())
    with _parsing(directory / STATE) as path:
        tensors = load(path.read_bytes())
    with _parsing(directory / STATE_JSON) as path:
        saved = join_tree(json.loads(path.read_bytes()), tensors)
        return weights, {**saved, "model_extra": dict(saved["model_extra"]), "extra": dict(saved["extra"])}


@contextmanager
def _parsing(path: Path) -> Iterator[Path]:
    try:
        yield path
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointDamagedError(f"{path}: cannot be read ({error!r}).") from error


def _split_model(model: nn.Module, weights: dict[str, Tensor], *, copied: bool) -> dict[str, Any]:
    """Put the model's tensors into `weights`; returns the entries that are none."""
    extra = {}
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            weights[name] = on_cpu(value, copied=copied)
        else:
            extra[name] = value
    return extra


def _gather(state: TrainingState, model_extra: dict[str, Any]) -> dict[str, Any]:
    parts = {name: part.state_dict() for name in PARTS if (part := getattr(state, name)) is not None}
    return {
        "model_extra": model_extra,
        **{name: dict(part) for name, part in parts.items()},
        "rng": capture_random_state() if state.rng else None,
        "extra": state.extra,
    }
