"""When to save, from what a save costs, what a failure would cost, and how sure a gain is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import stdev

from components.checkpoints.policies import Metric, SaveDecision, SaveMoment, finite_metric, gain
from components.errors import InvalidInputError


@dataclass(frozen=True)
class AdaptivePolicy:
    """Two decisions, kept apart: a clear gain is saved at once, and a save for recovery is made when one is due.

    *Best*: a gain over the best saved checkpoint is clear when it exceeds `z` standard errors, taken from the paired
    differences of the scores of the same cases, or else from the metric `<monitor>_se`; with neither, any gain is. One
    that is not clear is held as a copy in memory, to be written with the next save or at the end.

    *Recovery*: due when the time since the last save exceeds τ = b · max(C/ε, P, √(2·μ·C)), with C the seconds for
    which a save holds training up and P those after which it is durable, both as measured, ε the overhead budget, and
    μ the mean time to failure (Young, CACM 1974; Daly, FGCS 2006). On a plateau the back-off b doubles each `patience`
    epochs without a gain, up to `most_back_off`, and is 1 again after a gain. Until a cost is known it is due at once.

    Attributes:
        monitor: the metric.
        mode: whether more of it is better.
        overhead: ε, the share of the run that saves for recovery may take.
        mean_time_to_failure: μ, seconds.
        z: standard errors that a clear gain exceeds.
        patience: epochs without a gain after which τ doubles.
        most_back_off: by how much τ grows at the most.

    Raises:
        InvalidInputError: an option is out of range.
    """

    monitor: str
    mode: Metric = "max"
    overhead: float = 0.01
    mean_time_to_failure: float = 4 * 3600.0
    z: float = 1.0
    patience: int = 5
    most_back_off: float = 8.0

    def __post_init__(self) -> None:
        if not (self.overhead > 0 and self.mean_time_to_failure > 0 and self.z >= 0):
            raise InvalidInputError(
                "adaptive: overhead and mean_time_to_failure must be positive and z not negative; found "
                f"{self.overhead}, {self.mean_time_to_failure}, {self.z}."
            )
        if not (self.patience >= 1 and self.most_back_off >= 1):
            raise InvalidInputError(
                f"adaptive: patience and most_back_off must be at least 1; found {self.patience}, {self.most_back_off}."
            )

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Whether the gain is clear, a save for recovery is due, or a copy is worth holding."""
        value = finite_metric(moment.metrics, self.monitor)
        improved = -math.inf if value is None else gain(value, moment.best, self.mode)
        error, cases = self._standard_error(moment)
        margin = self.z * error
        back_off = min(2.0 ** (moment.epochs_since_gain // self.patience), self.most_back_off)
        cost = moment.save_seconds
        tau = back_off * max(
            cost / self.overhead, moment.persist_seconds, math.sqrt(2 * self.mean_time_to_failure * cost)
        )
        inputs = {
            "gain": improved if math.isfinite(improved) else None,
            "margin": margin,
            "standard_error": error,
            "paired_cases": cases,
            "since_save": moment.seconds_since_save,
            "tau": tau,
            "cost": cost,
            "persist": moment.persist_seconds,
            "back_off": back_off,
        }
        if improved > margin:
            first = moment.best is None
            reason = "the first" if first else f"gain {improved:.4g} is clear: more than {self.z:g} standard errors"
            return SaveDecision(save=True, kind="best", reason=reason, inputs=inputs)
        if moment.seconds_since_save > tau:
            reason = f"due for recovery: {moment.seconds_since_save:.3g} s since the last save, more than {tau:.3g} s"
            return SaveDecision(save=True, kind="recovery", reason=reason, inputs=inputs)
        if value is not None and improved > 0 and gain(value, moment.held, self.mode) > 0:
            reason = f"gain {improved:.4g} is within the noise: held in memory"
            return SaveDecision(save=False, kind="best", reason=reason, hold=True, inputs=inputs)
        return SaveDecision(save=False, kind="recovery", reason="no gain, and nothing due", inputs=inputs)

    def _standard_error(self, moment: SaveMoment) -> tuple[float, int]:
        """Of the gain over the best, and from how many pairs of cases."""
        differences = _paired(moment.cases or {}, moment.best_cases or {})
        if len(differences) > 1:
            return stdev(differences) / math.sqrt(len(differences)), len(differences)
        return finite_metric(moment.metrics, f"{self.monitor}_se") or 0.0, 0


def _paired(cases: Mapping[str, float], others: Mapping[str, float]) -> list[float]:
    return [cases[name] - others[name] for name in cases if name in others]
