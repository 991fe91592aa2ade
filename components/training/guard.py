"""Leaves out steps whose loss or gradient is not finite, and fails when there are too many."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from components.errors import InvalidInputError, NonFiniteLossError
from components.losses import LossBreakdown, check_finite

_LOOK_EVERY = 32  # steps after which a device that must not be waited for is asked
_HINT = "Hint: lower the learning rate, clip the gradient, or check images and masks for NaN."


class FiniteGuard:
    """Looks at each step before it is taken, which waits for the device.

    Args:
        most: steps left out in an epoch before training fails.

    Raises:
        InvalidInputError: `most` is negative.
    """

    def __init__(self, most: int = 0) -> None:
        if most < 0:
            raise InvalidInputError(f"max_bad_steps: found {most}, must not be negative.")
        self._most = most
        self.begin_epoch(1)

    def begin_epoch(self, epoch: int) -> None:
        """Count anew."""
        self._epoch, self._step, self._left_out = epoch, 0, 0

    def begin_step(self) -> None:
        """The next step."""
        self._step += 1

    def admits_loss(self, parts: LossBreakdown, batch: Mapping[str, Tensor]) -> bool:
        """Whether a batch's loss may be trained on.

        Args:
            parts: of the loss.
            batch: images, logits and target by name, which an error describes.

        Raises:
            NonFiniteLossError: it may not, and there were too many; names the term and the batch.
        """
        try:
            check_finite(parts, self._epoch, f"batch {self._step}", batch)
        except NonFiniteLossError:
            self._left_out += 1
            if self._left_out > self._most:
                raise
            return False
        return True

    def admits_gradient(self, norm: Tensor | None) -> bool:
        """Whether the step may be taken.

        Args:
            norm: L2 norm of the gradient; None where it is not known.

        Raises:
            NonFiniteLossError: it may not, and there were too many.
        """
        if norm is None or bool(torch.isfinite(norm)):
            return True
        self._left_out += 1
        if self._left_out > self._most:
            raise NonFiniteLossError(f"epoch {self._epoch}, batch {self._step}: the gradient is not finite. {_HINT}")
        return False

    def left_out(self) -> int:
        """Steps left out in this epoch.

        Raises:
            NonFiniteLossError: there were too many.
        """
        return self._left_out


class DeferredGuard(FiniteGuard):
    """Leaves out steps on the device, which is asked every 32 steps alone how many there were.

    A fused optimiser takes no step where its `found_inf` is 1, which is how PyTorch's own gradient scaler has it.

    Args:
        optimizer: fused.
        most: as of `FiniteGuard`.

    Raises:
        InvalidInputError: the optimiser is not fused.
    """

    def __init__(self, optimizer: Optimizer, most: int = 0) -> None:
        if not optimizer.defaults.get("fused"):
            raise InvalidInputError("optimizer: only a fused one leaves out a step on the device.")
        self._optimizer = optimizer
        super().__init__(most)

    def begin_epoch(self, epoch: int) -> None:
        """Count anew."""
        super().begin_epoch(epoch)
        self._bad_terms: dict[str, Tensor] = {}
        self._bad_steps: Tensor | None = None

    def begin_step(self) -> None:
        """The next step."""
        super().begin_step()
        self._bad: Tensor | None = None
        if self._step % _LOOK_EVERY == 0:
            self.left_out()

    def admits_loss(self, parts: LossBreakdown, batch: Mapping[str, Tensor]) -> bool:
        """Take note of it on the device."""
        del batch
        found = {name: ~torch.isfinite(value) for name, value in parts.terms.items()}
        for name, bad in found.items():
            self._bad_terms[name] = self._bad_terms.get(name, 0) + bad.long()
        bad = torch.stack([*found.values(), ~torch.isfinite(parts.total.detach())]).any()
        self._bad = bad if self._bad is None else self._bad | bad
        return True

    def admits_gradient(self, norm: Tensor | None) -> bool:
        """Have the optimiser leave the step out if it is bad."""
        if self._bad is None:
            return True
        bad = self._bad if norm is None else self._bad | ~torch.isfinite(norm)
        self._bad_steps = bad.long() if self._bad_steps is None else self._bad_steps + bad
        self._optimizer.grad_scale = None  # type: ignore[attr-defined]  # as the gradient scaler sets them
        self._optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
        return True

    def left_out(self) -> int:
        """Steps left out in this epoch; this waits for the device.

        Raises:
            NonFiniteLossError: there were too many; names the terms.
        """
        count = 0 if self._bad_steps is None else int(self._bad_steps.item())
        if count > self._most:
            names = [repr(name) for name, bad in self._bad_terms.items() if int(bad.item())]
            raise NonFiniteLossError(
                f"epoch {self._epoch}, by batch {self._step}: loss term {', '.join(names) or 'gradient'} not finite in "
                f"{count} steps, of which {self._most} may be. {_HINT}"
            )
        return count
