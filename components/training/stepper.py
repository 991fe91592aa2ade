"""Turns losses into steps of an optimiser: accumulated, clipped, scaled in fp16, left out where not finite."""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from components.errors import InvalidInputError
from components.losses import LossBreakdown
from components.training.guard import DeferredGuard, FiniteGuard
from components.training.precision import Precision

Item = TypeVar("Item")


class Stepper:
    """The steps of one optimiser.

    Args:
        optimizer: that steps.
        clip_norm: the gradient's largest L2 norm over all weights (Pascanu et al. 2013); None does not clip.
        accumulate: batches whose gradients make a step, each weighed by its cases.
        max_bad_steps: steps with a loss or gradient that is not finite, which are left out, weights untouched; one
            more in an epoch is an error.
        precision: `fp16` scales the loss, so that small gradients are not lost (Micikevicius et al. 2018); a step
            whose gradient overflows for that alone is left out and not counted.
        device: type of the device that trains. A GPU is not waited for in the midst of an epoch if the optimiser is
            fused.

    Attributes:
        scaler: of the loss, to be saved with the training; None but in `fp16`.
        guard: what leaves out steps.

    Raises:
        InvalidInputError: an argument is out of range.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> stepper = Stepper(torch.optim.SGD(model.parameters(), lr=0.1), clip_norm=1.0, accumulate=2)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        clip_norm: float | None = None,
        accumulate: int = 1,
        max_bad_steps: int = 0,
        precision: Precision = "fp32",
        device: str = "cpu",
    ) -> None:
        if clip_norm is not None and not (math.isfinite(clip_norm) and clip_norm > 0):
            raise InvalidInputError(f"clip_norm: found {clip_norm}, must be above 0.")
        if accumulate < 1:
            raise InvalidInputError(f"accumulate: found {accumulate}, must be at least 1.")
        self._optimizer, self._clip_norm, self._accumulate = optimizer, clip_norm, accumulate
        deferred = device == "cuda" and optimizer.defaults.get("fused")
        self.guard = DeferredGuard(optimizer, max_bad_steps) if deferred else FiniteGuard(max_bad_steps)
        self.scaler = torch.amp.GradScaler(device) if precision == "fp16" else None
        self._weights = [weight for group in optimizer.param_groups for weight in group["params"]]

    def grouped(self, batches: Iterable[Item]) -> Iterator[list[Item]]:
        """The batches of each step, with the gradients set back."""
        remaining = iter(batches)
        while group := list(islice(remaining, self._accumulate)):
            self.begin()
            yield group

    def begin(self) -> None:
        """The next step, with the gradients set back."""
        self.guard.begin_step()
        self._optimizer.zero_grad(set_to_none=True)

    def backward(self, parts: LossBreakdown, share: float, batch: Mapping[str, Tensor]) -> bool:
        """Add a batch's gradient; returns False when the step is left out.

        Args:
            parts: of the batch's loss.
            share: of the batch among the cases of the step.
            batch: images, logits and target by name, which an error describes.

        Raises:
            NonFiniteLossError: one bad step too many.
        """
        if not self.guard.admits_loss(parts, batch):
            return False
        total = parts.total if share == 1 else parts.total * share
        (total if self.scaler is None else self.scaler.scale(total)).backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        return True

    def scale_gradient(self, factor: float) -> None:
        """Multiply what `backward` has added so far."""
        for weight in self._weights:
            if weight.grad is not None:
                weight.grad.mul_(factor)

    def step(self) -> bool:
        """Clip and step; returns False when it is known that the step was left out.

        Raises:
            NonFiniteLossError: one bad step too many.
        """
        if self.scaler is not None:
            self.scaler.unscale_(self._optimizer)
        norm = None if self._clip_norm is None else clip_grad_norm_(self._weights, self._clip_norm)
        if not self.guard.admits_gradient(None if self.scaler is not None else norm):
            return False
        if self.scaler is None:
            self._optimizer.step()
            return True
        self.scaler.step(self._optimizer)
        self.scaler.update()
        return True
