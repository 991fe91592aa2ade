"""What a trial changes when it goes on from another's checkpoint, and which settings can change at all."""

from collections.abc import Iterator
from random import Random
from typing import Any

from search_spaces import Derived, Float, Simplex, Space
from search_spaces.perturbation import perturb
from tuning.config import SchedulerConfig, StudyConfig
from tuning.errors import StudyConfigError

_MUTABLE = ("training.lr", "loss.weights")


def mutables(space: Space, scheduler: SchedulerConfig) -> list[str]:
    """Names of the settings that change when a trial goes on from another."""
    return scheduler.mutable or [parameter.name for parameter in space.parameters if parameter.name in _MUTABLE]


def explore(space: Space, scheduler: SchedulerConfig, settings: dict[str, Any], random: Random) -> dict[str, Any]:
    """The settings with each mutable one moved or drawn anew.

    Args:
        space: of the study.
        scheduler: says what is mutable, and how often it is drawn anew.
        settings: by dotted path.
        random: where chance comes from.
    """
    names = mutables(space, scheduler)
    return settings | {
        parameter.name: perturb(parameter.distribution, settings[parameter.name], random, scheduler.resample)
        for parameter in space.parameters
        if parameter.name in settings and parameter.name in names
    }


def check_mutables(config: StudyConfig, space: Space) -> None:
    """Refuse what cannot change during training, where trials go on from each other.

    Raises:
        StudyConfigError: lists every problem.
    """
    if config.scheduler.type == "pbt" and (problems := list(_find_problems(config, space))):
        raise StudyConfigError("\n".join(f"scheduler.mutable: {problem}" for problem in problems))


def _find_problems(config: StudyConfig, space: Space) -> Iterator[str]:
    known = {parameter.name: parameter.distribution for parameter in space.parameters}
    names = mutables(space, config.scheduler)
    if not names:
        yield f"the space searches none of {', '.join(_MUTABLE)}. Hint: add one to search.space."
    for name in names:
        if name not in _MUTABLE:
            yield f"{name} cannot change during training. Hint: {' and '.join(_MUTABLE)} can."
        elif name not in known:
            yield f"{name} is not searched. Hint: add it to search.space."
        elif not isinstance(known[name], Float | Simplex):
            yield f"{name} is {known[name].describe()}. Hint: give it a float's range."
    for name, distribution in known.items():
        if isinstance(distribution, Derived) and distribution.source in names:
            yield f"{name} hangs on {distribution.source}, which changes. Hint: leave it out of search.space."
    scheduled = config.loss.schedule.get("type") != "constant"
    if "loss.weights" in names and (scheduled or any(name.startswith("loss.schedule") for name in known)):
        yield (
            "loss.weights are moved by loss.schedule already. "
            "Hint: loss.schedule.type: constant, or scheduler.mutable: [training.lr]."
        )
