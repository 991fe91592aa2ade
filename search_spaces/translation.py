"""The one place that speaks to Optuna about ranges: define-by-run, and the same ranges as Optuna's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_spaces.distributions import Choice, Distribution, Float, Int

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


def suggest_value(trial: BaseTrial, name: str, distribution: Distribution) -> Any:
    """Ask the trial for the parts of one parameter and make its value of them."""
    return distribution.value([_suggest_part(trial, *part) for part in distribution.parts(name).items()])


def _suggest_part(trial: BaseTrial, name: str, part: Float | Int | Choice) -> Any:
    if isinstance(part, Float):
        return trial.suggest_float(name, part.low, part.high, log=part.log, step=part.step)
    if isinstance(part, Int):
        return trial.suggest_int(name, part.low, part.high, log=part.log, step=part.step)
    return trial.suggest_categorical(name, part.options)


def optuna_distribution(part: Float | Int | Choice) -> BaseDistribution:
    """Give the Optuna object that `suggest_value` leaves in a trial for this part."""
    import optuna.distributions as theirs  # noqa: PLC0415  # half a second that reading a study file need not wait

    if isinstance(part, Float):
        return theirs.FloatDistribution(part.low, part.high, log=part.log, step=part.step)
    if isinstance(part, Int):
        return theirs.IntDistribution(part.low, part.high, log=part.log, step=part.step)
    return theirs.CategoricalDistribution(part.options)
