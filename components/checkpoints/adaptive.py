"""Saving that weighs what a save costs against what a failure would, and what a gain is worth against its noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import stdev
from typing import Any

from components.checkpoints.policies import Metric, SaveDecision, SaveMoment, finite_metric, gain
from components.errors import InvalidInputError

_PAIRS_NEEDED = 2  # for a standard deviation


@dataclass(frozen=True)
class AdaptivePolicy:
    """Two decisions, kept apart: whether these weights are the best, and whether too much work stands at risk.

    *Best*: a gain over the best checkpoint of more than `z` standard errors is saved at once. The standard error is
    that of the paired differences of the cases' scores, sd/√n; without them the metrics' `<monitor>_se`; without that,
    every gain is clear. A gain within the noise is held in memory and written with the next save or at the end.

    *Recovery*: a save is due when the time since the last exceeds τ = max(C_b/ε, C_p, √(2·μ·C_b)): C_b what training
    waits for a save, C_p until one is durable, ε the overhead budget, μ the mean time to failure. The root is the
    interval that loses least time to saves and failures together (Young 1974, "A first order approximation to the
    optimum checkpoint interval"; Daly 2006 refines it). τ doubles with each `patience` epochs without a gain, up to
    `max_backoff` times, and a gain sets it back: on a plateau there is less to lose. Before a cost is known a save is
    due at once.

    The budget binds recovery alone: a clear gain is saved whatever it costs.

    Attributes:
        monitor: metric that decides what is best; NaN or missing is never best.
        mode: `max` or `min`.
        overhead: share of the run that recovery saves may take, ε.
        mean_time_to_failure: μ, seconds.
        z: standard errors that a clear gain exceeds.
        patience: epochs without a gain after which τ doubles.
        max_backoff: τ grows by no more than this factor.

    Raises:
        InvalidInputError: an option is out of its range.

    Example:
        >>> policy = AdaptivePolicy("val_dice", z=2)
        >>> decision = policy.decide(SaveMoment(2, {"val_dice": 0.71, "val_dice_se": 0.01}, best=0.7, save_seconds=1))
        >>> decision.save, decision.hold, decision.inputs["margin"]
        (False, True, 0.02)
    """

    monitor: str
    mode: Metric = "max"
    overhead: float = 0.01
    mean_time_to_failure: float = 4 * 3600.0
    z: float = 1.0
    patience: int = 10
    max_backoff: float = 4.0

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max"):
            raise InvalidInputError(f"mode: found {self.mode!r}; use 'min' or 'max'.")
        ranges = {
            "overhead": (0 < self.overhead <= 1, "above 0, at most 1"),
            "mean_time_to_failure": (0 < self.mean_time_to_failure < math.inf, "positive seconds"),
            "z": (0 <= self.z < math.inf, "0 or more"),
            "patience": (self.patience >= 1, "1 or more epochs"),
            "max_backoff": (1 <= self.max_backoff < math.inf, "1 or more"),
        }
        for name, (fits, expected) in ranges.items():
            if not fits:
                raise InvalidInputError(f"adaptive: {name}: found {getattr(self, name)}, must be {expected}.")

    def decide(self, moment: SaveMoment) -> SaveDecision:
        """Whether to save a clear gain, to save for recovery, to hold a gain within the noise, or to go on."""
        value = finite_metric(moment.metrics, self.monitor)
        gained = -math.inf if value is None else gain(value, moment.best, self.mode)
        leads = value is not None and gained > 0 and gain(value, moment.held, self.mode) > 0
        error = self._standard_error(moment)
        margin, since = self.z * error, moment.seconds_since_save
        backoff = 1.0 if leads else self._backoff(moment.epochs_since_gain)
        tau = backoff * self._tau(moment)
        inputs: dict[str, Any] = {
            "value": value,
            "best": moment.best,
            "held": moment.held,
            "gain": gained if math.isfinite(gained) else None,
            "standard_error": error,
            "margin": margin,
            "seconds_since_save": since,
            "tau": tau,
            "backoff": backoff,
            "epochs_since_gain": 0 if leads else moment.epochs_since_gain,
            "save_seconds": moment.save_seconds,
            "persist_seconds": moment.persist_seconds,
        }
        times = f"{since:.1f} s since the last save, τ {tau:.1f} s"
        if leads and gained > margin:
            return SaveDecision(save=True, kind="best", reason=_clear(gained, margin), inputs=inputs)
        if since > tau:
            return SaveDecision(save=True, kind="recovery", reason=times, inputs=inputs)
        if leads:
            reason = f"gain {gained:.3g} within noise {margin:.3g}; {times}"
            return SaveDecision(save=False, kind="best", reason=reason, hold=True, inputs=inputs)
        what = f"{self.monitor} is no number" if value is None else "no gain"
        return SaveDecision(save=False, kind="recovery", reason=f"{what}; {times}", inputs=inputs)

    def _tau(self, moment: SaveMoment) -> float:
        cost = moment.save_seconds
        return max(cost / self.overhead, moment.persist_seconds, math.sqrt(2 * self.mean_time_to_failure * cost))

    def _backoff(self, stale: int) -> float:
        # Beyond some doublings the bound holds anyway, and 2.0 to a large power overflows.
        doublings = min(stale // self.patience, math.ceil(math.log2(self.max_backoff)))
        return min(self.max_backoff, 2.0**doublings)

    def _standard_error(self, moment: SaveMoment) -> float:
        paired = paired_standard_error(moment.cases or {}, moment.best_cases or {})
        if paired is not None:
            return paired
        return finite_metric(moment.metrics, f"{self.monitor}_se") or 0.0


def paired_standard_error(cases: Mapping[str, float], others: Mapping[str, float]) -> float | None:
    """Standard error of the mean difference of two scores over the cases that both have, sd/√n.

    Args:
        cases: score of each case by its name; NaN, as of a case without the class, is left out. Cases that are not
            independent, such as the slices of a patient, belong averaged first.
        others: the same of other weights.

    Returns:
        The error in the scores' unit; None for fewer than two common cases.

    Example:
        >>> paired_standard_error({"a": 1.0, "b": 0.5}, {"a": 0.5, "b": 0.5})
        0.25
    """
    differences = [cases[name] - others[name] for name in cases.keys() & others.keys()]
    found = [difference for difference in differences if math.isfinite(difference)]
    return stdev(found) / math.sqrt(len(found)) if len(found) >= _PAIRS_NEEDED else None


def _clear(gained: float, margin: float) -> str:
    return f"gain {gained:.3g} above noise {margin:.3g}" if math.isfinite(gained) else "the first that counts"
