"""A loss of several outputs of one network, from fine to coarse."""

from collections.abc import Sequence
from typing import Any, Literal, final, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from components.errors import InvalidInputError
from components.losses._checks import class_vector, require_known
from components.losses.breakdown import LossBreakdown
from components.losses.combined import CombinedLoss
from components.losses.ignored import valid_pixels
from components.losses.inputs import MODES, Mode, widened

Resize = Literal["logits", "target"]

_LINEAR = {4: "bilinear", 5: "trilinear"}  # by the number of the logits' axes


@final
class DeepSupervisionLoss(nn.Module):
    """Weighted mean of a loss over a network's outputs (Lee et al. 2015, Deeply-supervised nets).

    An output that is smaller than the target is brought to its size, (bi-/tri-)linearly. The other way round, small
    lesions vanish from the target: nnU-Net takes the nearest pixel there (its issue 1226). `resize="target"` is there
    to compare: area means in `binary` and `multilabel`, which are soft labels, and the nearest pixel for class indices.

    Args:
        loss: called with logits and target, returns a scalar; a `CombinedLoss` can be broken down.
        weights: of the outputs, from fine to coarse, finite, at least 0, one above 0; None halves from one to the next,
            as nnU-Net does (which leaves the coarsest out). They are scaled to the sum 1 over the outputs that come.
        resize: whether `logits` or `target` are resized; `target` needs a loss that has a `mode`.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = DeepSupervisionLoss(EnhancedDiceLoss())
        >>> loss([logits, logits[..., ::2, ::2]], target)  # ⅔ of the first output's loss, ⅓ of the second's
    """

    def __init__(self, loss: nn.Module, weights: Sequence[float] | None = None, resize: Resize = "logits") -> None:
        super().__init__()
        if not isinstance(loss, nn.Module):
            raise InvalidInputError(f"loss: found {type(loss).__name__}; expected a torch.nn.Module.")
        require_known("resize", resize, get_args(Resize))
        found = class_vector("weights", weights)
        self.loss = loss
        self.mode: Mode | None = _option(loss, "mode")
        self.ignore_index: int | None = _option(loss, "ignore_index")
        if resize == "target" and self.mode not in MODES:
            raise InvalidInputError("resize: 'target' needs to know the loss's mode. Hint: give the loss a `mode`.")
        self.weights: tuple[float, ...] | None = None if found is None else tuple(found.tolist())
        self.resize: Resize = resize

    def forward(self, outputs: Sequence[Tensor] | Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean, scalar.

        Args:
            outputs: logits `(B, C, *spatial)` from fine to coarse, as a list, a tuple, or, where the loss has a `mode`,
                stacked `(B, N, C, *spatial)` as MONAI's DynUNet returns them; one tensor of logits is the only output.
            target: what the loss takes.
        """
        return self._mean([self.loss(*pair) for pair in self._pairs(outputs, target)])

    def breakdown(self, outputs: Sequence[Tensor] | Tensor, target: Tensor) -> LossBreakdown:
        """Return the weighted mean with each term's, over the outputs; gradient norms are those at the finest logits.

        Raises:
            InvalidInputError: the loss is no `CombinedLoss`.
        """
        if not isinstance(self.loss, CombinedLoss):
            raise InvalidInputError(f"breakdown: found {type(self.loss).__name__}; expected a CombinedLoss.")
        parts = [self.loss.breakdown(*pair) for pair in self._pairs(outputs, target)]
        if len(parts) == 1:
            return parts[0]
        finest = parts[0]
        return LossBreakdown(
            total=self._mean([part.total for part in parts]),
            terms={name: self._mean([part.terms[name] for part in parts]) for name in finest.terms},
            weighted={name: self._mean([part.weighted[name] for part in parts]) for name in finest.weighted},
            gradient_norms=finest.gradient_norms,
            gradient_shares=finest.gradient_shares,
        )

    def extra_repr(self) -> str:
        """Name the weights and what is resized."""
        return f"weights={self.weights}, resize={self.resize!r}"

    def _mean(self, losses: list[Tensor]) -> Tensor:
        if losses[0].ndim:
            raise InvalidInputError(
                f"loss: returned shape {tuple(losses[0].shape)}; expected a scalar. Hint: reduction='mean'."
            )
        weights = [weight for weight in self.weights or () if weight > 0] or [
            0.5**level for level in range(len(losses))
        ]
        total = sum(weights)
        return torch.stack([weight / total * loss for weight, loss in zip(weights, losses, strict=True)]).sum()

    def _pairs(self, outputs: Sequence[Tensor] | Tensor, target: Tensor) -> list[tuple[Tensor, Tensor]]:
        axes = None
        if isinstance(outputs, Tensor) and self._stacked(outputs, target):
            axes = outputs.ndim - 1
        levels = outputs_of(outputs, axes=axes)
        if self.weights is not None and len(self.weights) != len(levels):
            raise InvalidInputError(f"weights: found {len(self.weights)} for {len(levels)} outputs; expected one each.")
        if self.weights is not None:  # what counts nothing is not computed, whatever stands in it
            levels = [level for level, weight in zip(levels, self.weights, strict=True) if weight > 0]
        if self.resize == "logits":
            return [(_enlarged(level, target), target) for level in levels]
        return [(level, self._shrunk(target, level)) for level in levels]

    def _stacked(self, outputs: Tensor, target: Tensor) -> bool:
        """Whether one tensor is several outputs; a volume has as many axes as stacked images."""
        if self.mode == "binary":
            return outputs.shape[1] > 1 or outputs.ndim == max(_LINEAR) + 1
        if self.mode is None:
            return False
        return outputs.ndim == target.ndim + (2 if self.mode == "multiclass" else 1)

    def _shrunk(self, target: Tensor, level: Tensor) -> Tensor:
        size = level.shape[2:]
        if target.shape[-len(size) :] == size:
            return target
        if self.mode == "multiclass":
            return interpolate(target.unsqueeze(1).float(), size, mode="nearest-exact").squeeze(1).to(target.dtype)
        target = target.unsqueeze(1) if target.ndim == level.ndim - 1 else target
        if self.ignore_index is None:
            return interpolate(target.to(level.dtype), size, mode="area")
        valid = valid_pixels(target, self.ignore_index)
        share = interpolate(valid.to(level.dtype), size, mode="area")
        labels = interpolate(torch.where(valid, target, 0).to(level.dtype), size, mode="area")
        return torch.where(share > 0, labels / torch.where(share > 0, share, 1), self.ignore_index)


def outputs_of(outputs: Any, *, axes: int | None = None) -> list[Tensor]:
    """Return a network's outputs from fine to coarse.

    Args:
        outputs: logits, a list or tuple of them, or several stacked along axis 1.
        axes: number of axes of one output's logits, which tells a stack from a single output; None for no stack.

    Raises:
        InvalidInputError: there is none, or one is no tensor.
    """
    if isinstance(outputs, Tensor):
        return list(outputs.unbind(1)) if axes is not None and outputs.ndim == axes + 1 else [outputs]
    if not isinstance(outputs, list | tuple) or not outputs or not all(isinstance(level, Tensor) for level in outputs):
        raise InvalidInputError(
            f"logits: found {type(outputs).__name__}; expected a tensor, or a list of tensors from fine to coarse."
        )
    return list(outputs)


def _enlarged(level: Tensor, target: Tensor) -> Tensor:
    size = target.shape[2 - level.ndim :]
    if level.shape[2:] == size or level.ndim not in _LINEAR:
        return level  # what has no such axes, the loss refuses
    return interpolate(widened(level), size, mode=_LINEAR[level.ndim], align_corners=False)


def _option(loss: nn.Module, name: str) -> Any:
    """The option of the loss, or of the first of its terms that has it."""
    return next((getattr(module, name) for module in loss.modules() if hasattr(module, name)), None)
