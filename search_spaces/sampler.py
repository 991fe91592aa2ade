"""Samplers whose choice for trial n depends on (study seed, n) and the earlier trials alone.

A sampler's random state is not in the journal. So each trial gets a sampler of its own, and each of its draws a
generator of its own: the joint draw one, and every parameter drawn alone one by its name. A trial that a kill cut off
between two parameters therefore gets the missing ones as if nothing had happened.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search_spaces.errors import SpaceError, hint_for
from search_spaces.history import with_history
from search_spaces.samplers import LEARNS_FROM_HISTORY, SAMPLERS, Draw, build_sampler

N_STARTUP_TRIALS = 8  # searches here have tens of trials; Optuna's 10 would leave TPE too few
HISTORY = 1000  # trials; an ask at 10,000 trials of six parameters: 33 ms in place of 119 (median of 6, shared CPU)
_SEED_BYTES = 4  # numpy's RandomState takes 32 bits


def make_sampler(
    name: str,
    study_seed: int,
    number: int,
    *,
    n_startup_trials: int = N_STARTUP_TRIALS,
    distributions: Mapping[str, BaseDistribution] | None = None,
    fixed: Mapping[str, Any] | None = None,
    earlier: Sequence[FrozenTrial] = (),
    history: int = HISTORY,
) -> BaseSampler:
    """Make the sampler for one trial.

    TPE is multivariate, groups parameters that occur together (conditions) and counts running trials as bad ones, so
    that concurrent trials spread. Making one for each ask costs up to 0.14 s at 9,500 trials without a cap.

    Args:
        name: One of `SAMPLERS`: ``tpe``, ``gp``, ``qmc``, ``random``, ``grid`` (every setting once) or ``nsga2``.
        study_seed: The study's seed, at least 0.
        number: Number of the trial to sample for.
        n_startup_trials: Finished trials before TPE or GP stop drawing at random; the generation of ``nsga2``.
        distributions: The space's `Space.distributions`; ``qmc`` needs them.
        fixed: Optuna parameters that are not drawn but given.
        earlier: Finished trials of other studies, which TPE and GP learn from as from their own.
        history: Most trials that TPE and GP look at: the 25 best and the latest.

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
    problems = [] if name in SAMPLERS else [f"there is no sampler {name!r}. {hint_for(name, SAMPLERS)}"]
    for word, value, least in (
        ("study_seed", study_seed, 0),
        ("number", number, 0),
        ("n_startup_trials", n_startup_trials, 1),
        ("history", history, 1),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            problems.append(f"{word} ({value!r}) must be a whole number of at least {least}.")
    if name == "qmc" and not distributions:
        problems.append("qmc needs the distributions of the space. Hint: give Space.distributions().")
    if problems:
        raise SpaceError(*problems)
    draw = Draw(study_seed, number, n_startup_trials, distributions or {})
    see = (
        (lambda study: with_history(study, earlier, history)) if name in LEARNS_FROM_HISTORY else (lambda study: study)
    )
    return _TrialSampler(lambda seed: build_sampler(name, seed, draw), draw, see, fixed or {})


class _TrialSampler(BaseSampler):
    """Hands every draw to a newly seeded sampler."""

    def __init__(
        self,
        build: Callable[[int], BaseSampler],
        draw: Draw,
        see: Callable[[Study], Study],
        fixed: Mapping[str, Any],
    ) -> None:
        self._build, self._see, self._fixed = build, see, fixed
        self._study_seed, self._number = draw.study_seed, draw.number
        self._joint = self._seeded("")
        self._seen: Study | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Begin the joint draw; `sample_relative` ends it with the same sampler, which remembers the groups."""
        self._check(trial)
        self._joint, self._seen = self._seeded(""), self._see(study)
        return self._joint.infer_relative_search_space(self._seen, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the parameters that are modelled together; what is fixed is not."""
        drawn = self._joint.sample_relative(self._seen or self._see(study), trial, search_space)
        return {name: value for name, value in drawn.items() if name not in self._fixed}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter by itself, whatever was drawn before; or give what is fixed."""
        self._check(trial)
        if param_name in self._fixed:
            return self._fixed[param_name]
        seen = self._seen or self._see(study)
        return self._seeded(param_name).sample_independent(seen, trial, param_name, param_distribution)

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
