"""Optimisers and learning-rate schedules by name."""

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, PolynomialLR, SequentialLR

from components.dotted import import_object, is_dotted
from components.errors import InvalidInputError

OPTIMIZERS = ("adamw", "sgd")
LR_SCHEDULES = ("constant", "cosine", "poly", "trapezoid")
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
    arguments: Mapping[str, Any] | None = None,
    undecayed: Sequence[nn.Parameter] = (),
    fused: bool = True,
) -> Optimizer:
    """Build AdamW (Loshchilov & Hutter 2019), SGD with Nesterov momentum (none when `momentum` is 0), or another.

    Args:
        name: one of `OPTIMIZERS`, or the import path of a class such as `torch.optim:RAdam`, which gets `lr`, and
            `weight_decay` and `fused` if it takes them.
        parameters: what is trained.
        lr: learning rate.
        weight_decay: of `parameters`.
        momentum: of SGD.
        arguments: further keyword arguments.
        fused: one kernel updates all weights, where they are on the CPU or a GPU and floating.
        undecayed: further parameters without weight decay, a group of their own, such as the learned weights of a loss.

    Raises:
        InvalidInputError: the name is unknown, or the optimiser does not take the arguments.

    Example:
        >>> build_optimizer("torch.optim:RAdam", model.parameters(), lr=1e-3, weight_decay=0)  # doctest: +SKIP
    """
    groups: list[dict[str, Any]] = [{"params": list(parameters)}]
    if undecayed:
        groups.append({"params": list(undecayed), "weight_decay": 0.0})
    weights = [weight for group in groups for weight in group["params"]]
    able = all(weight.is_floating_point() and weight.device.type in ("cpu", "cuda") for weight in weights)
    common: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "fused": True if fused and able else None}
    build: Any
    if name == "adamw":
        build = AdamW
    elif name == "sgd":
        build, common = SGD, common | {"momentum": momentum, "nesterov": momentum > 0}
    elif is_dotted(name):
        build = import_object(name, "training.optimizer")
        common = {key: value for key, value in common.items() if key == "lr" or _takes(build, key)}
    else:
        raise InvalidInputError(
            f"optimizer: found {name!r}; use one of {', '.join(OPTIMIZERS)}, or an import path such as "
            "torch.optim:RAdam."
        )
    optimizer = _called(build, "training.optimizer", name, groups, **common | dict(arguments or {}))
    if not isinstance(optimizer, Optimizer):
        raise InvalidInputError(
            f"training.optimizer: {name} returned {type(optimizer).__name__}, expected a torch.optim.Optimizer."
        )
    return optimizer


def build_lr_schedule(
    name: str, optimizer: Optimizer, *, epochs: int, warmup: int = 0, arguments: Mapping[str, Any] | None = None
) -> LRScheduler:
    """Build a schedule over the full budget of `epochs`, stepped once an epoch.

    Args:
        name: one of `LR_SCHEDULES`, or the import path of a class such as `torch.optim.lr_scheduler:StepLR`, which gets
            the optimiser and `arguments`.
        optimizer: whose learning rate is set.
        epochs: the budget, warm-up included.
        warmup: first epochs, in which the learning rate rises evenly to its full value (Goyal et al. 2017).
        arguments: of a schedule named by its path.

    Raises:
        InvalidInputError: the name is unknown, the warm-up leaves no epoch, or the schedule lacks arguments.
    """
    if not 0 <= warmup < epochs:
        raise InvalidInputError(f"warmup: found {warmup} epochs, must be from 0 to {epochs - 1}, one less than all.")
    if warmup:
        rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        rest = build_lr_schedule(name, optimizer, epochs=epochs - warmup, arguments=arguments)
        return SequentialLR(optimizer, [rise, rest], milestones=[warmup])
    if name == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=epochs)
    if name == "poly":
        return PolynomialLR(optimizer, total_iters=epochs, power=_POLY_POWER)
    if name == "trapezoid":
        return TrapezoidLR(optimizer, epochs)
    if not is_dotted(name):
        raise InvalidInputError(
            f"lr_schedule: found {name!r}; use one of {', '.join(LR_SCHEDULES)}, or an import path such as "
            "torch.optim.lr_scheduler:StepLR."
        )
    schedule = _called(
        import_object(name, "training.lr_schedule"), "training.lr_schedule", name, optimizer, **dict(arguments or {})
    )
    if not isinstance(schedule, LRScheduler):
        raise InvalidInputError(
            f"training.lr_schedule: {name} returned {type(schedule).__name__}, expected a "
            "torch.optim.lr_scheduler.LRScheduler."
        )
    return schedule


class TrapezoidLR(LRScheduler):
    """A constant learning rate, then a cooldown by 1 - √ over the last share of the budget (Hägele et al. 2024).

    Until the cooldown nothing depends on the budget, so that one training can be paused, compared and continued to any
    length; arXiv:2405.18392 finds it as good as cosine at each length.

    Args:
        optimizer: whose learning rate is set.
        epochs: the budget.
        cooldown: share of the budget; at least one epoch where the budget has two.

    Example:
        >>> optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> schedule = TrapezoidLR(optimizer, 10)
        >>> [round(schedule.factor(epoch), 2) for epoch in (0, 7, 8, 9)]
        [1.0, 1.0, 0.42, 0.18]
    """

    def __init__(self, optimizer: Optimizer, epochs: int, cooldown: float = 0.2) -> None:
        self.length = max(min(1, epochs - 1), round(cooldown * epochs))
        self.begin = epochs - self.length
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        """What the learning rate is multiplied by in an epoch, from 0; never 0, as the last epoch trains too."""
        if epoch < self.begin:
            return 1.0
        return 1 - math.sqrt(min(epoch - self.begin + 1, self.length) / (self.length + 1))

    def get_lr(self) -> list[float | torch.Tensor]:
        """See `torch.optim.lr_scheduler.LRScheduler.get_lr`."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]


def _takes(build: Any, name: str) -> bool:
    return name in inspect.signature(build).parameters


def _called(build: Any, where: str, name: str, *positional: Any, **arguments: Any) -> Any:
    try:
        return build(*positional, **arguments)
    except (TypeError, ValueError) as error:
        shown = ", ".join(sorted(arguments))
        raise InvalidInputError(
            f"{where}: {name} cannot be built from {shown}: {error}. Hint: look at {where}_arguments."
        ) from error


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
    schedule: LRScheduler,
    name: str,
    optimizer: Optimizer,
    *,
    lr: float,
    epochs: int,
    warmup: int,
    after: int,
    arguments: Mapping[str, Any] | None = None,
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
        arguments: as of `build_lr_schedule`.
    """
    stand_in = SGD([{"params": [nn.Parameter(torch.zeros(1))]} for _ in optimizer.param_groups], lr=lr)
    planned = build_lr_schedule(name, stand_in, epochs=epochs, warmup=warmup, arguments=arguments)
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
