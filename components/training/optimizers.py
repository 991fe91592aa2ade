"""Optimisers and learning-rate schedules by name."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, PolynomialLR, SequentialLR

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
    fused: bool = True,
) -> Optimizer:
    """Build AdamW (Loshchilov & Hutter 2019) or SGD with Nesterov momentum (none when `momentum` is 0).

    Args:
        name: one of `OPTIMIZERS`.
        parameters: what is trained.
        lr: learning rate.
        weight_decay: of `parameters`.
        momentum: of SGD.
        fused: one kernel updates all weights, where they are on the CPU or a GPU and floating.
        undecayed: further parameters without weight decay, a group of their own, such as the learned weights of a loss.

    Raises:
        InvalidInputError: the name is unknown.
    """
    groups: list[dict[str, Any]] = [{"params": list(parameters)}]
    if undecayed:
        groups.append({"params": list(undecayed), "weight_decay": 0.0})
    weights = [weight for group in groups for weight in group["params"]]
    able = all(weight.is_floating_point() and weight.device.type in ("cpu", "cuda") for weight in weights)
    common: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "fused": True if fused and able else None}
    if name == "adamw":
        return AdamW(groups, **common)
    if name == "sgd":
        return SGD(groups, **common, momentum=momentum, nesterov=momentum > 0)
    raise InvalidInputError(f"optimizer: found {name!r}; use one of {', '.join(OPTIMIZERS)}.")


def build_lr_schedule(name: str, optimizer: Optimizer, *, epochs: int, warmup: int = 0) -> LRScheduler:
    """Build a schedule over the full budget of `epochs`, stepped once an epoch.

    Args:
        name: one of `LR_SCHEDULES`.
        optimizer: whose learning rate is set.
        epochs: the budget, warm-up included.
        warmup: first epochs, in which the learning rate rises evenly to its full value (Goyal et al. 2017).

    Raises:
        InvalidInputError: the name is unknown, or the warm-up leaves no epoch.
    """
    if not 0 <= warmup < epochs:
        raise InvalidInputError(f"warmup: found {warmup} epochs, must be from 0 to {epochs - 1}, one less than all.")
    if warmup:
        rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        rest = build_lr_schedule(name, optimizer, epochs=epochs - warmup)
        return SequentialLR(optimizer, [rise, rest], milestones=[warmup])
    if name == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=epochs)
    if name == "poly":
        return PolynomialLR(optimizer, total_iters=epochs, power=_POLY_POWER)
    raise InvalidInputError(f"lr_schedule: found {name!r}; use one of {', '.join(LR_SCHEDULES)}.")


def scale_lr(optimizer: Optimizer, schedule: LRScheduler, factor: float) -> None:
    """Multiply the learning rate, now and at every later step of its schedule.

    Args:
        optimizer: of the schedule.
        schedule: made by `build_lr_schedule`; where it stands stays.
        factor: above 0.

    Raises:
        InvalidInputError: the factor is not above 0.

    Example:
        >>> scale_lr(optimizer, schedule, 1.2)  # doctest: +SKIP
    """
    if not factor > 0:
        raise InvalidInputError(f"factor: found {factor}, must be above 0.")
    for group in optimizer.param_groups:
        group["lr"] *= factor
        group["initial_lr"] *= factor
    for part in (schedule, *getattr(schedule, "_schedulers", ())):
        for name in ("base_lrs", "_last_lr"):
            if hasattr(part, name):
                setattr(part, name, [lr * factor for lr in getattr(part, name)])
