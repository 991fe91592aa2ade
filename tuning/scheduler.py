"""Who stops a trial, and why: the budget, a failure, or a rule, which is restored from the record."""

from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tuning.config import SchedulerConfig
from tuning.objective import OBJECTIVE
from tuning.record.scheduling import CONTINUE, STOP, WAIT, SchedulerDecision
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
    can be replayed into it. Each epoch of a trial is decided on once: where it is trained again, that decision stays.

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
        self._decided: dict[int, int] = {}  # the last epoch of each trial that was decided on
        self._order: dict[str, int] = {}
        self._rungs = set(config.rungs(epochs)) if config.pauses else set()
        self._baselines_wait = config.type == "race"
        self.stops: dict[int, Stop] = {}
        self.decisions: dict[int, SchedulerDecision] = {}  # new ones, until they are noted
        self.waiting: set[int] = set()  # trials that left Ray to wait for others at a rung

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

    def replay(self, number: int, dice: dict[int, float]) -> None:
        """Take up epochs that were decided on in an earlier attempt, oldest first; nothing is decided anew."""
        for epoch, value in sorted(dice.items()):
            self._decided[number] = epoch
            score = self._score_of(number, epoch, value)
            if self._rule is not None and score is not None:
                self._rule.restore(number, epoch, score)

    def decide(self, number: int, epoch: int, dice: float, ended: str = "") -> SchedulerDecision:
        """Take up a result that has just arrived, and decide; a new decision also stands in `decisions`.

        On an epoch that is trained again nothing is decided, but a population waits at it as it did.

        Args:
            number: of the trial.
            epoch: the epoch.
            dice: its Dice.
            ended: why the trial ends by itself after this epoch.
        """
        is_new = self._is_new(number, epoch)
        stop = self._decide(number, epoch, dice) or (Stop("complete", ended) if ended else None)
        if stop:
            decision = SchedulerDecision(number, epoch, dice, STOP, stop.state, stop.cause)
        else:
            waits = (number >= 0 or self._baselines_wait) and epoch in self._rungs
            decision = SchedulerDecision(number, epoch, dice, WAIT if waits else CONTINUE)
        if is_new:
            self.decisions[number] = decision
        return decision

    def budget_stop(self, epoch: int) -> Stop | None:
        """The stop of a trial whose budget is reached at this epoch."""
        return Stop("complete", f"budget of {self._epochs} epochs reached") if epoch >= self._epochs else None

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide after each epoch; the reason of a stop is kept in `stops`."""
        del tune_controller
        number = trial.config["number"]
        if failure := self._read_failure(result):
            self.stops[number] = failure
            return str(TrialScheduler.STOP)
        ended = result.get("ended", "")
        decision = self.decide(number, result["epoch"], result[OBJECTIVE], ended)
        if decision.action == STOP:
            self.stops[number] = Stop(decision.state, decision.cause)
        elif decision.action == WAIT:
            self.waiting.add(number)
        ends_by_itself = bool(ended) and decision.cause == ended
        goes_on = decision.action == CONTINUE or ends_by_itself
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def _read_failure(self, result: dict[str, Any]) -> Stop | None:
        return Stop("failed", result["failure"], result["failure_kind"]) if "failure" in result else None

    def _is_new(self, number: int, epoch: int) -> bool:
        return epoch > self._decided.get(number, 0)

    def _decide(self, number: int, epoch: int, dice: float) -> Stop | None:
        reason = None
        if self._is_new(number, epoch):
            self._decided[number] = epoch
            score = self._score_of(number, epoch, dice)
            if self._rule is not None and score is not None:
                reason = self._rule.judge(number, epoch, score)
        return self.budget_stop(epoch) or (Stop("pruned", reason) if reason else None)

    def _score_of(self, number: int, epoch: int, dice: float) -> float | None:
        """What the rule sees of an epoch; None where there is no rule, or it does not see the trial."""
        if self._rule is None or number < 0:
            return None
        history = self._dice.setdefault(number, {})
        history[epoch] = dice
        return score_of(history, epoch, self._score)
