"""One's own code for a batch, in the loop that has everything else."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from components.errors import TrainStepError
from components.losses import CombinedLoss, LossBreakdown

Returned = Tensor | Mapping[str, Tensor]
_HINT = "Hint: return the loss, a scalar tensor with a gradient, or a mapping with `loss`, `logits` and scalars to log."


class TrainStep(Protocol):
    """What a batch's loss is; the loop goes back through it, steps, guards and records.

    Example:
        >>> def with_noise(model, images, target, loss):
        ...     return loss(model(images + 0.1 * torch.randn_like(images)).float(), target)
    """

    def __call__(self, model: nn.Module, images: Tensor, target: Tensor, loss: CombinedLoss) -> Returned:
        """Return what is to be made smaller.

        Args:
            model: the network, in training mode; called in the training's precision.
            images: `(B, C, *spatial)` float32, on the device.
            target: indices `(B, *spatial)` or masks `(B, C, *spatial)`.
            loss: the trial's loss, with its weights of now; called with fp32 logits.

        Returns:
            a scalar with a gradient; or a mapping with it as `loss`, `logits` if they are to be watched, and further
            scalars, which are recorded as `loss_<name>`.
        """


def call_step(
    step: TrainStep, model: nn.Module, images: Tensor, target: Tensor, loss: CombinedLoss, *, where: str
) -> tuple[LossBreakdown, Tensor | None]:
    """Call a step and check what it returns.

    Args:
        step: of the user.
        model: network.
        images: of the batch.
        target: of the batch.
        loss: of the trial.
        where: place in the training, such as `epoch 2, batch 7`, for an error's text.

    Returns:
        the loss with the scalars as its terms, and the logits if they were returned.

    Raises:
        TrainStepError: it raised, or returned no loss.
    """
    name = f"{getattr(step, '__module__', '')}:{getattr(step, '__qualname__', type(step).__qualname__)}"
    try:
        returned = step(model, images, target, loss)
    except Exception as error:
        raise TrainStepError(f"training.step: {name} at {where} raised {type(error).__name__}: {error}.") from error
    found = dict(returned) if isinstance(returned, Mapping) else {"loss": returned}
    total, logits = found.pop("loss", None), found.pop("logits", None)
    problem = _problem(total, found, logits)
    if problem or not isinstance(total, Tensor):
        raise TrainStepError(f"training.step: {name} at {where} {problem}. {_HINT}")
    terms = {key: value.detach() for key, value in found.items()}
    return LossBreakdown(total=total.reshape(()), terms=terms, weighted={}), logits


def _problem(total: object, others: Mapping[str, object], logits: object) -> str:
    if total is None:
        return "returned no loss"
    if not isinstance(total, Tensor) or total.numel() != 1:
        shape = f" {tuple(total.shape)}" if isinstance(total, Tensor) else ""
        return f"returned {type(total).__name__}{shape} as its loss, not a scalar tensor"
    if not total.requires_grad and torch.is_grad_enabled():
        return "returned a loss without a gradient"
    for name, value in others.items():
        if not isinstance(value, Tensor) or value.numel() != 1:
            return f"returned {type(value).__name__} as {name!r}, not a scalar tensor"
    return "" if logits is None or isinstance(logits, Tensor) else f"returned {type(logits).__name__} as its logits"
