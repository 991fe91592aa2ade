"""Which samplers there are, and how each is built anew for one trial."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial

LEARNS_FROM_HISTORY = ("tpe", "gp")
_SMALLEST_POPULATION = 2


@dataclass(frozen=True)
class Draw:
    """What a sampler may depend on.

    Attributes:
        study_seed: the study's seed.
        number: of the trial.
        startup: finished trials before a model takes over; for nsga2 the size of a generation.
        distributions: all parameters of the space, as qmc needs them.
    """

    study_seed: int
    number: int
    startup: int
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)


def build_sampler(name: str, seed: int, draw: Draw) -> BaseSampler:
    """Build the sampler of one draw.

    Args:
        name: One of `SAMPLERS`.
        seed: Of this draw.
        draw: What it is for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _BUILDERS[name](seed, draw)


class _Sequence(QMCSampler):
    """Point n of a scrambled Sobol sequence for trial n; Optuna's own counts in the study, which a kill would upset."""

    def __init__(self, draw: Draw, seed: int) -> None:
        super().__init__(seed=draw.study_seed, scramble=True, independent_sampler=RandomSampler(seed=seed))
        self._draw = draw

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, also those whose condition does not hold, so that each keeps its axis."""
        return dict(sorted(self._draw.distributions.items()))

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        del study, search_space
        return self._draw.number


def _tpe(seed: int, draw: Draw) -> BaseSampler:
    return TPESampler(seed=seed, n_startup_trials=draw.startup, multivariate=True, group=True, constant_liar=True)


def _gp(seed: int, draw: Draw) -> BaseSampler:
    return GPSampler(seed=seed, n_startup_trials=draw.startup, warn_independent_sampling=False)


def _random(seed: int, _draw: Draw) -> BaseSampler:
    return RandomSampler(seed=seed)


def _qmc(seed: int, draw: Draw) -> BaseSampler:
    return _Sequence(draw, seed)


def _grid(seed: int, _draw: Draw) -> BaseSampler:
    return BruteForceSampler(seed=seed)


def _nsga2(seed: int, draw: Draw) -> BaseSampler:
    return NSGAIISampler(seed=seed, population_size=max(draw.startup, _SMALLEST_POPULATION))


_BUILDERS: Mapping[str, Callable[[int, Draw], BaseSampler]] = MappingProxyType(
    {"tpe": _tpe, "gp": _gp, "qmc": _qmc, "random": _random, "grid": _grid, "nsga2": _nsga2}
)
SAMPLERS = tuple(_BUILDERS)
