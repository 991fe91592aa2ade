"""The one place that says which logits and targets the losses take."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses.ignored import valid_pixels
from components.losses.labels import check_labels
from components.mask_policy import DEFAULT_POLICY, FOREGROUND, MaskPolicy

Mode = Literal["binary", "multilabel", "multiclass"]
MODES: tuple[Mode, ...] = ("binary", "multilabel", "multiclass")

_IMAGE_NDIMS = (4, 5)  # (B, C, H, W) and (B, C, D, H, W)
_INTEGER_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Prepared(NamedTuple):
    """What the losses compute with.

    Attributes:
        logits: `(B, C, *spatial)`, fp32 (double stays double).
        target: int64 `(B, *spatial)` for `multiclass`, otherwise in the logits' shape and dtype; 0 at ignored pixels.
        valid: False at ignored pixels, bool: the logits' shape, `(B, 1, *spatial)` for `multiclass`. None when no
            index is ignored.
    """

    logits: Tensor
    target: Tensor
    valid: Tensor | None


def full_precision(logits: Tensor) -> torch.autocast:
    """Return a context without autocast on the logits' device: half-precision sums overflow past 65,504."""
    return torch.autocast(plain("logits", logits).device.type, enabled=False)


def plain(what: str, values: Tensor) -> Tensor:
    """Return a tensor without what a subclass adds, such as MONAI's metadata, which operations would carry along.

    Raises:
        InvalidInputError: it is no tensor.
    """
    if not isinstance(values, Tensor):
        raise InvalidInputError(f"{what}: found {type(values).__name__}; expected a torch.Tensor.")
    if type(values) is Tensor or torch.compiler.is_compiling():
        return values
    return values.as_subclass(Tensor)


def widened(logits: Tensor) -> Tensor:
    """Return half-precision logits in fp32; others as they are."""
    logits = plain("logits", logits)
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def prepare(logits: Tensor, target: Tensor, mode: Mode, policy: MaskPolicy = DEFAULT_POLICY) -> Prepared:
    """Check shapes and dtypes and bring both to the form that the losses compute with.

    No device is waited for: target values are read on the CPU only. Elsewhere, and while compiling, that they are 0-1
    or valid classes is the data's promise.

    Args:
        logits: `(B, C, *spatial)`, floating; C is 1 for `binary`, at least 2 for `multiclass`.
        target: `multiclass`: integer class indices `(B, *spatial)`. Otherwise 0-1, soft allowed, in the shape of
            the logits and of any float, integer or bool dtype; for `binary` also `(B, *spatial)`.
        mode: what the channels mean.
        policy: which pixels do not count, per channel, and what soft labels mean.

    Raises:
        InvalidInputError: a shape, dtype, device or label does not fit, or the index is a class or not one of the
            dtype.
    """
    logits, target = plain("logits", logits), plain("target", target)
    _check_logits(logits, mode)
    if target.device != logits.device:
        raise InvalidInputError(f"target: found on {target.device}; expected on the logits' device {logits.device}.")
    logits = widened(logits)
    index, valid = policy.ignore_index, None
    if mode == "multiclass":
        _check_indices(logits, target)
        labels = target
        if index is not None:
            valid = valid_pixels(target, index, logits.shape[1])
            labels = torch.where(valid, target, 0)
        check_labels(labels, logits.shape[1])
        return Prepared(logits, labels.long(), None if valid is None else valid.unsqueeze(1))
    shaped = target.unsqueeze(1) if mode == "binary" and target.ndim == logits.ndim - 1 else target
    _check_same_shape(logits, shaped, mode)
    labels = shaped
    if index is not None:
        valid = valid_pixels(shaped, index)
        labels = torch.where(valid, shaped, 0)
    check_labels(labels, None)
    if policy.soft_labels == "threshold":
        labels = labels > FOREGROUND
    return Prepared(logits, labels.to(logits.dtype), valid)


def _check_logits(logits: Tensor, mode: Mode) -> None:
    if not logits.is_floating_point():
        raise InvalidInputError(f"logits: found dtype {logits.dtype}; expected floats. Hint: pass raw network outputs.")
    shape = tuple(logits.shape)
    if logits.ndim not in _IMAGE_NDIMS or logits.numel() == 0:
        raise InvalidInputError(
            f"logits: found shape {shape}; expected (B, C, H, W) or (B, C, D, H, W), none of them 0."
        )
    if mode == "binary" and shape[1] != 1:
        raise InvalidInputError(
            f"logits: found {shape[1]} channels; mode 'binary' expects 1. "
            "Hint: 'multilabel' for overlapping classes, 'multiclass' for exclusive ones."
        )
    if mode == "multiclass" and shape[1] == 1:
        raise InvalidInputError(
            "logits: found 1 channel; mode 'multiclass' expects at least 2, as softmax over one is always 1. "
            "Hint: use mode 'binary'."
        )


def _check_indices(logits: Tensor, target: Tensor) -> None:
    expected = (logits.shape[0], *logits.shape[2:])
    if tuple(target.shape) != expected:
        hints = {
            (logits.shape[0], 1, *logits.shape[2:]): " Hint: drop the channel axis, target[:, 0].",
            tuple(logits.shape): " Hint: one-hot targets become indices by target.argmax(1).",
        }
        hint = hints.get(tuple(target.shape), "")
        raise InvalidInputError(
            f"target: found shape {tuple(target.shape)}; mode 'multiclass' expects class indices {expected}.{hint}"
        )
    if target.dtype not in _INTEGER_DTYPES:
        raise InvalidInputError(
            f"target: found dtype {target.dtype}; mode 'multiclass' expects integer class indices. Hint: target.long()."
        )


def _check_same_shape(logits: Tensor, target: Tensor, mode: Mode) -> None:
    if target.shape != logits.shape:
        also = f" or {(logits.shape[0], *logits.shape[2:])}" if mode == "binary" else ""
        hint = "" if mode == "binary" else " Hint: class indices need mode 'multiclass'."
        raise InvalidInputError(
            f"target: found shape {tuple(target.shape)}; mode {mode!r} expects {tuple(logits.shape)}{also}.{hint}"
        )
    if not (target.is_floating_point() or target.dtype in (*_INTEGER_DTYPES, torch.bool)):
        raise InvalidInputError(
            f"target: found dtype {target.dtype}; expected floats, integers or bools between 0 and 1. "
            "Hint: unsigned integers of 16 bits and more become others by target.long()."
        )
