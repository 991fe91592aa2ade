"""What a sampler sees of the trials before it: earlier studies' first, and of very many only those that matter."""

import copy
from collections.abc import Container, Sequence

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

BEST_KEPT = 25  # as many as Optuna's TPE ever takes for good ones, so that a cap leaves its model of them as it is


def with_history(study: Study, earlier: Sequence[FrozenTrial], history: int) -> Study:
    """Give the study as a sampler is to see it: the same storage, other trials when it asks for them.

    Args:
        study: The study.
        earlier: Finished trials of other studies; they get numbers below 0.
        history: Most trials that are shown: the best `BEST_KEPT` and the latest.
    """
    before = [_renumbered(trial, number) for number, trial in enumerate(earlier, -len(earlier))]
    shown = _capped(study, [*before, *study.get_trials(deepcopy=False)], history)
    view = copy.copy(study)

    def of_states(
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: Container[TrialState] | None = None,
        use_cache: bool = False,  # noqa: FBT001, FBT002
    ) -> list[FrozenTrial]:
        del deepcopy, use_cache
        return [trial for trial in shown if states is None or trial.state in states]

    view.__dict__["_get_trials"] = of_states  # what every sampler of Optuna reads trials by
    return view


def _renumbered(trial: FrozenTrial, number: int) -> FrozenTrial:
    trial = copy.copy(trial)
    trial.number = number
    return trial


def _capped(study: Study, trials: list[FrozenTrial], history: int) -> list[FrozenTrial]:
    if len(trials) <= history:
        return trials
    latest = {trial.number for trial in trials[-max(history - BEST_KEPT, 1) :]}
    finished = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if len(study.directions) == 1:
        sign = 1 if study.direction is StudyDirection.MINIMIZE else -1
        finished.sort(key=lambda t: (any(x > 0 for x in t.constraints.values()), sign * t.values[0]))
        latest |= {trial.number for trial in finished[:BEST_KEPT]}
    return [trial for trial in trials if trial.number in latest]
