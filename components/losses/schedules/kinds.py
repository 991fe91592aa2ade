"""The named types of schedule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from components.errors import InvalidInputError
from components.losses._checks import require_known
from components.losses.schedules.adaptive import AdaptiveSchedule
from components.losses.schedules.base import LossSchedule
from components.losses.schedules.between import CosineSchedule, LinearSchedule
from components.losses.schedules.constant import ConstantSchedule
from components.losses.schedules.dwa import DWASchedule
from components.losses.schedules.gradient_norm import GradientNormSchedule
from components.losses.schedules.milestones import StepSchedule
from components.losses.schedules.random_weights import RandomSchedule
from components.losses.schedules.relobralo import ReLoBRaLoSchedule
from components.losses.schedules.softadapt import SoftAdaptSchedule
from components.losses.schedules.steal import StealSchedule
from components.losses.schedules.uncertainty import UncertaintySchedule
from components.losses.schedules.uwso import UWSOSchedule


@dataclass(frozen=True)
class ScheduleKind:
    """What a name of a schedule stands for.

    Attributes:
        build: makes the schedule from the loss and options.
        required: names of the options that must be given.
        optional: names of the others.
    """

    build: Callable[..., LossSchedule]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


_KINDS: dict[str, ScheduleKind] = {
    "constant": ScheduleKind(ConstantSchedule),
    "linear": ScheduleKind(LinearSchedule, ("end", "epochs")),
    "cosine": ScheduleKind(CosineSchedule, ("end", "epochs")),
    "step": ScheduleKind(StepSchedule, ("milestones",)),
    "steal": ScheduleKind(StealSchedule, ("target",), ("source", "delta", "floor")),
    "adaptive": ScheduleKind(AdaptiveSchedule, (), ("strength", "smoothing")),
    "dwa": ScheduleKind(DWASchedule, (), ("temperature",)),
    "softadapt": ScheduleKind(SoftAdaptSchedule, (), ("beta", "normalized", "loss_weighted")),
    "relobralo": ScheduleKind(ReLoBRaLoSchedule, (), ("alpha", "rho", "temperature", "seed")),
    "uwso": ScheduleKind(UWSOSchedule, (), ("temperature",)),
    "gradient_norm": ScheduleKind(GradientNormSchedule, (), ("smoothing",)),
    "uncertainty": ScheduleKind(UncertaintySchedule),
    "random": ScheduleKind(RandomSchedule, (), ("seed",)),
}


def schedule_kinds() -> tuple[str, ...]:
    """Return the names of the schedules."""
    return tuple(_KINDS)


def build_schedule(
    kind: Any, loss: nn.Module, options: Mapping[str, Any], *, epochs: int | None = None
) -> LossSchedule:
    """Build one schedule.

    Args:
        kind: a name of `schedule_kinds()`.
        loss: the `CombinedLoss` whose weights are set.
        options: further constructor arguments.
        epochs: full budget, for schedules that need it and whose options do not give it.

    Raises:
        InvalidInputError: no such kind or option, an option is missing or does not fit, or the loss has no weights.
    """
    require_known("loss schedule: type", kind, tuple(_KINDS))
    found = _KINDS[kind]
    for name in options:
        require_known(f"loss schedule {kind!r}: option", name, (*found.required, *found.optional))
    given = dict(options)
    if "epochs" in found.required and epochs is not None:
        given.setdefault("epochs", epochs)
    for name in found.required:
        if name not in given:
            raise InvalidInputError(f"loss schedule {kind!r}: {name} is missing.")
    return found.build(loss, **given)
