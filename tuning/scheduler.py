"""Who stops a trial, and why: the budget, a failure, or ASHA, whose rungs are rebuilt from the journal."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from tuning.config import SchedulerConfig
from tuning.objective import OBJECTIVE


@dataclass(frozen=True)
class Stop:
    """Why a trial ends; `state` is `complete`, `pruned` or `failed`."""

    state: str
    cause: str


class StudyScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray is not typed
    """Ends trials at the budget, at a failure, or when ASHA says so; baselines are never pruned.

    ASHA (Li et al., MLSys 2020) sees each trial under its study number instead of Ray's random id, so that the history
    of earlier attempts can be replayed into its rungs.

    Args:
        config: `asha` or `none`, with grace and reduction.
        epochs: full budget of a trial.
    """

    def __init__(self, config: SchedulerConfig, epochs: int) -> None:
        super().__init__()
        self._metric = OBJECTIVE
        self._epochs = epochs
        self._reduction = config.reduction
        self._rungs = _asha(config, epochs) if config.type == "asha" else None
        self._known: set[int] = set()
        self.stops: dict[int, Stop] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Accept what the objective of every study is."""
        del spec
        return metric in (None, OBJECTIVE) and mode in (None, "max")

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
        if stop is None:
            return str(TrialScheduler.CONTINUE)
        self.stops[number] = stop
        return str(TrialScheduler.STOP)

    def _read_failure(self, result: dict[str, Any]) -> Stop | None:
        return Stop("failed", result["failure"]) if "failure" in result else None

    def _decide(self, number: int, epoch: int, dice: float) -> Stop | None:
        pruned = self._rungs is not None and number >= 0 and self._asha_stops(number, epoch, dice)
        if epoch >= self._epochs:
            return Stop("complete", f"budget of {self._epochs} epochs reached")
        if pruned:
            share = f"1/{self._reduction:g}"
            return Stop("pruned", f"asha at epoch {epoch}: Dice {dice:.4f} not among the best {share} of its rung")
        return None

    def _asha_stops(self, number: int, epoch: int, dice: float) -> bool:
        stand_in = SimpleNamespace(trial_id=number)
        if number not in self._known:
            self._known.add(number)
            self._rungs.on_trial_add(None, stand_in)  # type: ignore[union-attr]
        decision = self._rungs.on_trial_result(  # type: ignore[union-attr]
            None, stand_in, {"epoch": epoch, OBJECTIVE: dice}
        )
        return bool(decision == TrialScheduler.STOP)


def _asha(config: SchedulerConfig, epochs: int) -> ASHAScheduler:
    return ASHAScheduler(
        time_attr="epoch",
        metric=OBJECTIVE,
        mode="max",
        max_t=epochs,
        grace_period=config.grace,
        reduction_factor=config.reduction,
    )
