"""When a trial is stopped for its Dice: successive halving, HyperBand's brackets of it, the median rule.

Each rule knows trials by their study number. Epochs of earlier attempts are restored, in the order in which they
arrived, so that after a resume it stands where it stood; it judges each epoch once, when it arrives.
"""

from dataclasses import dataclass
from statistics import fmean, median
from typing import Protocol

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from tuning.config import SchedulerConfig
from tuning.objective import OBJECTIVE

_LEAST_OTHERS = 3  # trials that a median is taken of, as in Tune's rule
_GOLDEN = 0.6180339887498949  # (√5 - 1) / 2: its multiples fill [0, 1) evenly, however many there are


class StoppingRule(Protocol):
    """The seam for a new scheduler."""

    def judge(self, number: int, epoch: int, score: float) -> str | None:
        """Take up an epoch's score; say why the trial is to be stopped, or None."""

    def restore(self, number: int, epoch: int, score: float) -> None:
        """Take up a score that was judged before."""


@dataclass(frozen=True)
class _StandIn:
    """What Tune's scheduler is told of a trial: its study number in place of Ray's random id."""

    trial_id: int


class HalvingRule:
    """ASHA (Li et al., MLSys 2020): at each rung the best 1/reduction go on; Tune's own, one bracket.

    Args:
        grace: epoch of the first rung.
        reduction: the best 1/reduction of a rung go on; the next rung is so many times further.
        epochs: full budget of a trial.
        name: in the reason.
    """

    def __init__(self, grace: int, reduction: float, epochs: int, name: str = "asha") -> None:
        self._name, self._reduction = name, reduction
        self._known: set[int] = set()
        self._rungs = ASHAScheduler(
            time_attr="epoch",
            metric=OBJECTIVE,
            mode="max",
            max_t=epochs,
            grace_period=grace,
            reduction_factor=reduction,
        )

    def judge(self, number: int, epoch: int, score: float) -> str | None:
        """See `StoppingRule.judge`."""
        trial = _StandIn(number)
        if number not in self._known:
            self._known.add(number)
            self._rungs.on_trial_add(None, trial)
        if self._rungs.on_trial_result(None, trial, {"epoch": epoch, OBJECTIVE: score}) != TrialScheduler.STOP:
            return None
        share = f"1/{self._reduction:g}"
        return f"{self._name} at epoch {epoch}: Dice {score:.4f} not among the best {share} of its rung"

    def restore(self, number: int, epoch: int, score: float) -> None:
        """See `StoppingRule.restore`; a rung is the same whoever passed it, so that the verdict is dropped."""
        self.judge(number, epoch, score)


class HyperbandRule:
    """HyperBand (Li et al., JMLR 2018) without waiting: brackets of successive halving that begin later and later.

    A bracket gets as many trials as HyperBand gives it, and a trial's bracket follows from its number alone, so that
    it is the same after a resume. (Tune's own draws it from numpy's global random numbers.)
    """

    def __init__(self, grace: int, reduction: float, epochs: int) -> None:
        graces = [grace]
        while graces[-1] * reduction <= epochs:
            graces.append(round(graces[-1] * reduction))
        self._brackets = [
            HalvingRule(first, reduction, epochs, f"hyperband, bracket {index}") for index, first in enumerate(graces)
        ]
        most = len(graces) - 1
        shares = [(most + 1) / (most - index + 1) * reduction ** (most - index) for index in range(len(graces))]
        self._ends = [sum(shares[: index + 1]) / sum(shares) for index in range(len(graces))]

    def bracket(self, number: int) -> int:
        """Bracket of a trial."""
        place = (number + 0.5) * _GOLDEN % 1
        return next((index for index, end in enumerate(self._ends) if place < end), len(self._ends) - 1)

    def judge(self, number: int, epoch: int, score: float) -> str | None:
        """See `StoppingRule.judge`."""
        return self._brackets[self.bracket(number)].judge(number, epoch, score)

    def restore(self, number: int, epoch: int, score: float) -> None:
        """See `StoppingRule.restore`."""
        self._brackets[self.bracket(number)].restore(number, epoch, score)


class MedianRule:
    """The median stopping rule (Golovin et al., KDD 2017), as Tune has it.

    A trial is stopped where its best score so far is below the median of the other trials' mean scores up to the same
    epoch, once three others have come so far.
    """

    def __init__(self, grace: int) -> None:
        self._grace = grace
        self._scores: dict[int, dict[int, float]] = {}

    def judge(self, number: int, epoch: int, score: float) -> str | None:
        """See `StoppingRule.judge`."""
        self.restore(number, epoch, score)
        own = self._scores[number]
        if epoch < self._grace:
            return None
        others = [
            fmean(value for at, value in scores.items() if self._grace <= at <= epoch)
            for other, scores in self._scores.items()
            if other != number and max(scores) >= epoch
        ]
        if len(others) < _LEAST_OTHERS:
            return None
        middle, best = median(others), max(value for at, value in own.items() if at <= epoch)
        if best >= middle:
            return None
        return f"median at epoch {epoch}: best Dice {best:.4f} below {middle:.4f}, the median of {len(others)} others"

    def restore(self, number: int, epoch: int, score: float) -> None:
        """See `StoppingRule.restore`."""
        self._scores.setdefault(number, {})[epoch] = score


def make_rule(config: SchedulerConfig, epochs: int) -> StoppingRule | None:
    """The rule that the settings name; None where only the budget stops.

    Args:
        config: the section `scheduler`.
        epochs: full budget of a trial.
    """
    if config.type == "asha":
        return HalvingRule(config.grace, config.reduction, epochs)
    if config.type == "hyperband":
        return HyperbandRule(config.grace, config.reduction, epochs)
    return MedianRule(config.grace) if config.type == "median" else None


def score_of(dice: dict[int, float], epoch: int, how: str) -> float:
    """What a rule sees at an epoch.

    Args:
        dice: Dice by epoch.
        epoch: the epoch; later ones do not count.
        how: `last`; `best` so far; or `smoothed`, the mean of the last three.

    Example:
        >>> [score_of({1: 0.5, 2: 0.8, 3: 0.2}, 3, how) for how in ("last", "best", "smoothed")]
        [0.2, 0.8, 0.5]
    """
    if how == "last":
        return dice[epoch]
    if how == "best":
        return max(value for at, value in dice.items() if at <= epoch)
    return fmean(value for at, value in dice.items() if epoch - _SMOOTHED < at <= epoch)


_SMOOTHED = 3  # epochs: enough to halve the noise's deviation nearly, few enough to lag by one epoch
