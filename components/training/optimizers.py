"""Optimisers and learning-rate schedules by name."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, PolynomialLR, SequentialLR

from components.errors import InvalidInputError

OPTIMIZERS = ("adamw", "sgd")
LR_SCHEDULES = ("constant", "cosine", "poly")
# What PyTorch's schedules keep a number of for each group of weights.
_BY_GROUP = ("base_lrs", "_last_lr", "lr_lambdas", "min_lrs", "max_lrs")
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


def add_undecayed(optimizer: Optimizer, parameters: Sequence[nn.Parameter], schedule: Any = None) -> None:
    """Have an optimiser train further parameters without weight decay; those that it has already are passed over.

    Args:
        optimizer: its first group gives the other options.
        parameters: to be added.
        schedule: of its learning rate, which then sets that of the new group too.

    Example:
        >>> add_undecayed(optimizer, loss_schedule.parameters(), schedule)  # doctest: +SKIP
    """
    groups = optimizer.param_groups
    known = {id(weight) for group in groups for weight in group["params"]}
    new = [weight for weight in parameters if id(weight) not in known]
    if not new:
        return
    before = len(groups)
    options = {name: value for name, value in groups[0].items() if name not in ("params", "param_names")}
    optimizer.add_param_group({**options, "params": new, "weight_decay": 0.0})
    for part in (schedule, *getattr(schedule, "_schedulers", ())):
        for name in _BY_GROUP:
            values = getattr(part, name, None)
            if isinstance(values, list) and len(values) == before:
                setattr(part, name, [*values, values[0]])


def plan_anew(
    schedule: LRScheduler, name: str, optimizer: Optimizer, *, lr: float, epochs: int, warmup: int, after: int
) -> None:
    """Put a schedule, and the learning rate, where one over another budget would be by now.

    Args:
        schedule: as `build_lr_schedule` has made it for the optimiser.
        name: as of `build_lr_schedule`.
        optimizer: whose learning rate is set.
        lr: at the start.
        epochs: the budget of now.
        warmup: as of `build_lr_schedule`.
        after: epochs that have passed.
    """
    stand_in = SGD([{"params": [nn.Parameter(torch.zeros(1))]} for _ in optimizer.param_groups], lr=lr)
    planned = build_lr_schedule(name, stand_in, epochs=epochs, warmup=warmup)
    for _ in range(after):
        stand_in.step()
        planned.step()
    schedule.load_state_dict(planned.state_dict())
    for group, other in zip(optimizer.param_groups, stand_in.param_groups, strict=True):
        group["lr"], group["initial_lr"] = other["lr"], other["initial_lr"]


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
