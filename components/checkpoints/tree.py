"""Splits nested state into tensors (for safetensors) and a JSON skeleton, and puts it together again, exactly."""

from typing import Any

import torch
from torch import Tensor

from components.errors import CheckpointError

_TENSOR, _TUPLE, _ITEMS = "$tensor", "$tuple", "$items"


def split_tree(value: Any, tensors: dict[str, Tensor], path: str, *, copied: bool = True) -> Any:
    """Move the tensors of nested dicts, lists and tuples into `tensors` and return a JSON skeleton.

    Dicts whose keys are not plain strings become lists of pairs, tuples are marked, so that the round trip is exact.
    Tensors are brought to contiguous CPU memory, of their own when `copied`.

    Args:
        value: nested state.
        tensors: filled under unique names that begin with `path`.
        path: name of this value.
        copied: whether tensors that are there already are copied, so that later changes are not seen.

    Raises:
        CheckpointError: the state holds something that is neither a tensor nor JSON; names the place.
    """
    if isinstance(value, Tensor):
        while path in tensors:  # {"a/b": ..., "a": {"b": ...}} gives two the same path
            path += "+"
        tensors[path] = on_cpu(value, copied=copied)
        return {_TENSOR: path}
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: split_tree(item, tensors, f"{path}/{key}", copied=copied) for key, item in value.items()}
        pairs = enumerate(value.items())
        return {
            _ITEMS: [
                [
                    split_tree(k, tensors, f"{path}/k{i}", copied=copied),
                    split_tree(v, tensors, f"{path}/{i}", copied=copied),
                ]
                for i, (k, v) in pairs
            ]
        }
    if isinstance(value, list | tuple):
        items = [split_tree(item, tensors, f"{path}/{index}", copied=copied) for index, item in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(
        f"state {path!r} holds a {type(value).__name__}, which cannot be saved without pickle. "
        "Hint: keep tensors, numbers, texts, lists and dicts in state_dict()."
    )


def join_tree(skeleton: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo `split_tree`."""
    if isinstance(skeleton, list):
        return [join_tree(item, tensors) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if _TENSOR in skeleton:
        return tensors[skeleton[_TENSOR]]
    if _TUPLE in skeleton:
        return tuple(join_tree(item, tensors) for item in skeleton[_TUPLE])
    if _ITEMS in skeleton:
        return {join_tree(key, tensors): join_tree(item, tensors) for key, item in skeleton[_ITEMS]}
    return {key: join_tree(item, tensors) for key, item in skeleton.items()}


def has_non_finite(tensors: dict[str, Tensor]) -> bool:
    """Whether a floating tensor holds NaN or infinity."""
    return any(tensor.is_floating_point() and not _is_finite(tensor) for tensor in tensors.values())


def on_cpu(tensor: Tensor, *, copied: bool) -> Tensor:
    """The tensor without a gradient in contiguous CPU memory, of its own when `copied`."""
    return tensor.detach().to("cpu", copy=copied).contiguous()


def _is_finite(tensor: Tensor) -> bool:
    # A sum is finite only where all are, and takes a tenth of the time; one that overflowed says nothing.
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())
