"""Who stops a trial, and why: the budget, a failure, or a rule, which is rebuilt from the journal."""

from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tuning.config import SchedulerConfig
from tuning.objective import OBJECTIVE
from tuning.rules import make_rule, score_of


@dataclass(frozen=True)
class Stop:
    """Why a trial ends; `state` is `complete`, `pruned` or `failed`, and then `failure` is of what kind."""

    state: str
    cause: str
    failure: str = ""


class StudyScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray is not typed
    """Ends trials at the budget, at a failure, or when the stopping rule says so; baselines are never pruned.

    A rule sees each trial under its study number instead of Ray's random id, so that the history of earlier attempts
    can be replayed into it.

    Args:
        config: the section `scheduler`.
        epochs: full budget of a trial.
    """

    def __init__(self, config: SchedulerConfig, epochs: int) -> None:
        super().__init__()
        self._metric = OBJECTIVE
        self._epochs = epochs
        self._rule, self._score = make_rule(config, epochs), config.score
        self._dice: dict[int, dict[int, float]] = {}
        self._order: dict[str, int] = {}
        self._rungs = set(config.rungs(epochs)) if config.type == "pbt" else set()
        self.stops: dict[int, Stop] = {}
        self.waiting: set[int] = set()  # trials that left Ray to wait for their population

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Accept what the objective of every study is."""
        del spec
        return metric in (None, OBJECTIVE) and mode in (None, "max")

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Note the order of the trials."""
        del tune_controller
        self._order[trial.trial_id] = len(self._order)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The first that waits, of those that have not ended: Ray's own choice looks through all that ever were."""
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status in ("PENDING", "PAUSED")]
        return min(waiting, key=lambda trial: (trial.status == "PAUSED", self._order[trial.trial_id]), default=None)

    def replay(self, number: int, dice: dict[int, float]) -> Stop | None:
        """Feed the epochs of an earlier attempt, oldest first, and say what was decided last."""
        for epoch, value in sorted(dice.items()):
            stop = self._decide(number, epoch, value)
            if stop:
                return stop
        return None

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide after each epoch; the reason of a stop is kept in `stops`."""
        del tune_controller
        number = trial.config["number"]
        stop = self._read_failure(result) or self._decide(number, result["epoch"], result[OBJECTIVE])
        if stop is None and number >= 0 and result["epoch"] in self._rungs:
            self.waiting.add(number)
            return str(TrialScheduler.STOP)
        if stop is None:
            return str(TrialScheduler.CONTINUE)
        self.stops[number] = stop
        return str(TrialScheduler.STOP)

    def _read_failure(self, result: dict[str, Any]) -> Stop | None:
        return Stop("failed", result["failure"], result["failure_kind"]) if "failure" in result else None

    def _decide(self, number: int, epoch: int, dice: float) -> Stop | None:
        reason = None
        if self._rule is not None and number >= 0:
            history = self._dice.setdefault(number, {})
            history[epoch] = dice
            reason = self._rule.judge(number, epoch, score_of(history, epoch, self._score))
        if epoch >= self._epochs:
            return Stop("complete", f"budget of {self._epochs} epochs reached")
        return Stop("pruned", reason) if reason else None
