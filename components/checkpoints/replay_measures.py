"""What a kill at a moment uniformly distributed over a run would have cost: work, and the best weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.checkpoints.policies import Metric

Array = npt.NDArray[np.float64]


def work_at_risk(
    progress: Sequence[tuple[float, float]], durable: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Seconds of training since the state that the last durable checkpoint holds: mean over the run, and most.

    Args:
        progress: clock and training done at the ends of the run's straight pieces, in order, from (0, 0).
        durable: clock from which a checkpoint counts, and the training that it holds.

    Returns:
        Mean and largest, seconds.

    Example:
        >>> work_at_risk([(0, 0), (10, 10)], [(5, 5)])
        (2.5, 5.0)
    """
    clocks, trained = (np.array(values, dtype=np.float64) for values in zip(*progress, strict=True))
    times = np.unique(np.concatenate([clocks, [clock for clock, _ in durable if clock <= clocks[-1]]]))
    safe = _highest_so_far(durable, times, before=0.0)[:-1]
    work = np.interp(times, clocks, trained)
    first, last = work[:-1] - safe, work[1:] - safe
    if not len(safe):
        return 0.0, 0.0
    return float((np.diff(times) * (first + last) / 2).sum() / times[-1]), float(last.max())


def regret_of_kept(
    seen: Sequence[tuple[float, float | None]],
    durable: Sequence[tuple[float, float | None]],
    *,
    end: float,
    mode: Metric,
) -> tuple[float | None, float | None]:
    """How much better the best metric seen so far is than that of the best durable checkpoint.

    Without any checkpoint the worst metric of all stands for it, so that policies that save late pay for it.

    Args:
        seen: clock and metric of each epoch; None where there is none.
        durable: clock from which a checkpoint counts, and its metric.
        end: of the run.
        mode: `max` or `min`.

    Returns:
        Mean over the run and at its end, in the metric's unit, never negative; None where no epoch has a metric.

    Example:
        >>> regret_of_kept([(1, 0.5), (2, 1.0)], [(1, 0.5)], end=4, mode="max")
        (0.25, 0.5)
    """
    sign = 1.0 if mode == "max" else -1.0
    scores, kept = ([(clock, sign * value) for clock, value in pairs if value is not None] for pairs in (seen, durable))
    if not scores:
        return None, None
    worst = min(score for _, score in scores)
    events: Any = [clock for clock, _ in (*scores, *kept) if clock < end]
    times = np.unique([0.0, *events, end])
    regret = _highest_so_far(scores, times, before=worst) - _highest_so_far(kept, times, before=worst)
    mean = (np.diff(times) * regret[:-1]).sum() / end if end > 0 else regret[-1]
    return float(mean), float(regret[-1])


def _highest_so_far(events: Sequence[tuple[float, float]], times: Array, *, before: float) -> Array:
    """At each time the highest value of the events up to then."""
    ordered = sorted(events)
    highest = np.maximum.accumulate([before, *(value for _, value in ordered)])
    found: Array = highest[np.searchsorted([clock for clock, _ in ordered], times, side="right")]
    return found
