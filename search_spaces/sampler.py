"""Samplers whose choice for trial n depends on (study seed, n) and the earlier trials alone.

A sampler's random state is not in the journal. So each trial gets a sampler of its own, and each of its draws a
generator of its own: the joint draw one, and every parameter drawn alone one by its name. A trial that a kill cut off
between two parameters therefore gets the missing ones as if nothing had happened.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search_spaces.errors import SpaceError, hint_for

N_STARTUP_TRIALS = 8  # searches here have tens of trials; Optuna's 10 would leave TPE too few
_SEED_BYTES = 4  # numpy's RandomState takes 32 bits


def make_sampler(name: str, study_seed: int, number: int, *, n_startup_trials: int = N_STARTUP_TRIALS) -> BaseSampler:
    """Make the sampler for one trial.

    TPE is multivariate, groups parameters that occur together (conditions) and counts running trials as bad ones, so
    that concurrent trials spread. Making one for each ask costs up to 0.14 s at 9,500 trials.

    Args:
        name: ``tpe`` or ``random``.
        study_seed: The study's seed, at least 0.
        number: Number of the trial to sample for.
        n_startup_trials: Finished trials before TPE stops drawing at random.

    Returns:
        A sampler that refuses to sample for a trial of another number.

    Raises:
        SpaceError: If there is no such sampler, or a number is negative.

    Example:
        >>> import optuna
        >>> study = optuna.create_study(sampler=make_sampler("tpe", study_seed=1, number=0))
        >>> round(study.ask().suggest_float("x", 0, 1), 3)
        0.516

    Source: S. Watanabe, Tree-structured Parzen estimator (2023), arXiv:2304.11127.
    """
    problems = [] if name in _BUILDERS else [f"there is no sampler {name!r}. {hint_for(name, _BUILDERS)}"]
    for word, value, least in (
        ("study_seed", study_seed, 0),
        ("number", number, 0),
        ("n_startup_trials", n_startup_trials, 1),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            problems.append(f"{word} ({value!r}) must be a whole number of at least {least}.")
    if problems:
        raise SpaceError(*problems)
    return _TrialSampler(lambda seed: _BUILDERS[name](seed, n_startup_trials), study_seed, number)


class _TrialSampler(BaseSampler):
    """Hands every draw to a newly seeded sampler."""

    def __init__(self, build: Callable[[int], BaseSampler], study_seed: int, number: int) -> None:
        self._build = build
        self._study_seed = study_seed
        self._number = number
        self._joint = self._seeded("")

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Begin the joint draw; `sample_relative` ends it with the same sampler, which remembers the groups."""
        self._check(trial)
        self._joint = self._seeded("")
        return self._joint.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the parameters that are modelled together."""
        return self._joint.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter by itself, whatever was drawn before."""
        self._check(trial)
        return self._seeded(param_name).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """See `optuna.samplers.BaseSampler.before_trial`."""
        self._joint.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See `optuna.samplers.BaseSampler.after_trial`."""
        self._joint.after_trial(study, trial, state, values)

    def _seeded(self, draw: str) -> BaseSampler:
        digest = hashlib.sha256(f"{self._study_seed}/{self._number}/{draw}".encode()).digest()
        return self._build(int.from_bytes(digest[:_SEED_BYTES], "big"))

    def _check(self, trial: FrozenTrial) -> None:
        if trial.number != self._number:
            raise ValueError(
                f"this sampler is seeded for trial {self._number}, but trial {trial.number} asks. "
                "Hint: make a sampler for each trial, by its number."
            )


def _tpe(seed: int, n_startup_trials: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Argument ``group``", category=ExperimentalWarning)
        return TPESampler(
            seed=seed, n_startup_trials=n_startup_trials, multivariate=True, group=True, constant_liar=True
        )


def _random(seed: int, _n_startup_trials: int) -> BaseSampler:
    return RandomSampler(seed=seed)


_BUILDERS: Mapping[str, Callable[[int, int], BaseSampler]] = MappingProxyType({"tpe": _tpe, "random": _random})
