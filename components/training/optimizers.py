"""Optimisers and learning-rate schedules by name."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, PolynomialLR

from components.errors import InvalidInputError

OPTIMIZERS = ("adamw", "sgd")
LR_SCHEDULES = ("constant", "cosine", "poly")
_POLY_POWER = 0.9  # Chen et al., DeepLab (2017); nnU-Net's default as well


def build_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    weight_decay: float,
    momentum: float = 0.9,
    undecayed: Sequence[nn.Parameter] = (),
) -> Optimizer:
    """Build AdamW (Loshchilov & Hutter 2019) or SGD with Nesterov momentum (none when `momentum` is 0).

    Args:
        name: one of `OPTIMIZERS`.
        parameters: what is trained.
        lr: learning rate.
        weight_decay: of `parameters`.
        momentum: of SGD.
        undecayed: further parameters without weight decay, a group of their own, such as the learned weights of a loss.

    Raises:
        InvalidInputError: the name is unknown.
    """
    groups: list[dict[str, Any]] = [{"params": list(parameters)}]
    if undecayed:
        groups.append({"params": list(undecayed), "weight_decay": 0.0})
    if name == "adamw":
        return AdamW(groups, lr=lr, weight_decay=weight_decay)
    if name == "sgd":
        return SGD(groups, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=momentum > 0)
    raise InvalidInputError(f"optimizer: found {name!r}; use one of {', '.join(OPTIMIZERS)}.")


def build_lr_schedule(name: str, optimizer: Optimizer, *, epochs: int) -> LRScheduler:
    """Build a schedule over the full budget of `epochs`, stepped once an epoch.

    Raises:
        InvalidInputError: the name is unknown.
    """
    if name == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=epochs)
    if name == "poly":
        return PolynomialLR(optimizer, total_iters=epochs, power=_POLY_POWER)
    raise InvalidInputError(f"lr_schedule: found {name!r}; use one of {', '.join(LR_SCHEDULES)}.")
