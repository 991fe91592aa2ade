"""What each setting reached over seeds and cases, and by how much its search had promised more."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from reports.statistics.estimates import estimate_mean, student_interval
from reports.statistics.scores import GroupScores, group_scores

_DRAWS = 20_000  # of the means; the share of a setting is then known to 0.4 %
_SEED = 0
_TRAINING = ("setting", "seed")


def settings_means(scores: pd.DataFrame, *, value: str = "dice", confidence: float = 0.95) -> pd.DataFrame:
    """Mean, standard error and interval of each setting over seeds and groups.

    Args:
        scores: a row a case of each training, as the package's docstring says.
        value: column of the score.
        confidence: of the intervals, each on its own; there is none with fewer than 3 seeds or 6 groups.

    Returns:
        A row a setting, the best first: columns `setting`, `mean`, `error`, `low`, `high`, `seeds`, `groups`,
        `seed_sd` (of the means of seeds; NaN with one) and `p_best` (see `probability_best`).

    Raises:
        InvalidInputError: a column is missing.
    """
    found = group_scores(scores, value)
    rows = []
    for setting in found.settings:
        values = found.of(setting)
        estimate = estimate_mean(values)
        low, high = estimate.interval(confidence)
        spread = float(values.mean(axis=1).std(ddof=1)) if len(values) > 1 and values.size else float("nan")
        row = (setting, estimate.mean, estimate.error, low, high, estimate.seeds, estimate.groups, spread)
        rows.append(row)
    columns = ["setting", "mean", "error", "low", "high", "seeds", "groups", "seed_sd"]
    table = pd.DataFrame(rows, columns=columns)
    table["p_best"] = table["setting"].map(_probability(found))
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def probability_best(scores: pd.DataFrame, *, value: str = "dice") -> "pd.Series[float]":
    """How probable it is that each setting has the highest true mean, all being thought equal beforehand.

    The true means are drawn from a normal distribution around the measured ones; its covariance is that of the groups'
    means plus that of the seeds' means, so that what is hard for all settings does not blur their order. Only groups
    that all settings have count.

    Returns:
        Shares that sum to 1, by setting; 0 for a setting without scores.
    """
    return pd.Series(_probability(group_scores(scores, value)), name="p_best", dtype=float)


def winners_curse(search: Mapping[str, float], scores: pd.DataFrame, *, value: str = "dice") -> pd.DataFrame:
    """By how much the search's score of each setting exceeds what it reaches when trained again.

    The best of many noisy scores is too high, since the luckiest is chosen: the gap says by how much. Both sides are
    averaged as the search does (over cases, then over classes), not over groups as the other statistics are: a
    difference of the averages would pass for luck.

    Args:
        search: score of each setting in the search.
        scores: of the settings trained again, on the same cases as in the search: a row a case (and class) of each
            training, or a row a training with columns `setting`, `seed` and its score.
        value: column of the score.

    Returns:
        Columns `setting`, `search`, `retrained` (mean over seeds), `gap` (search minus retrained), `low` and `high`
        (95 % interval of the retrained mean over seeds, NaN with one); settings not trained again are left out.

    Source: on the bias of a maximum, J. E. Smith, R. L. Winkler, The Optimizer's Curse (Management Science 52, 2006).

    Example:
        >>> again = pd.DataFrame({"setting": "trial 3", "seed": [1001, 1002], "dice": [0.80, 0.82]})
        >>> float(winners_curse({"trial 3": 0.85}, again)["gap"].round(4).iloc[0])
        0.04
    """
    columns = [*_TRAINING, "class"] if "class" in scores else list(_TRAINING)
    by_class = scores.groupby(columns, sort=False)[value].mean()
    trainings = by_class.groupby(list(_TRAINING), sort=False).mean().dropna()
    rows = []
    for name, promised in search.items():
        if name in trainings.index.get_level_values("setting"):
            of_seeds = trainings.xs(name, level="setting").to_numpy(float)
            retrained = float(of_seeds.mean())
            rows.append((name, promised, retrained, promised - retrained, *student_interval(of_seeds)))
    return pd.DataFrame(rows, columns=["setting", "search", "retrained", "gap", "low", "high"])


def _probability(found: GroupScores) -> dict[str, float]:
    values = found.scores
    scored = np.logical_not(np.isnan(values).all(axis=(1, 2)))
    defined = ~np.isnan(values[scored]).all(axis=1).any(axis=0)  # groups that each scored setting has with some seed
    trained = np.logical_not(np.isnan(values[:, :, defined]).any(axis=2))  # (settings, seeds)
    usable = [index for index in range(len(found.settings)) if scored[index] and trained[index].any()]
    shares = dict.fromkeys(found.settings, 0.0)
    if not usable or not defined.any():
        return shares
    of_groups = np.stack([values[index][trained[index]][:, defined].mean(axis=0) for index in usable])
    covariance = np.atleast_2d(np.cov(of_groups)) / of_groups.shape[1] if of_groups.shape[1] > 1 else 0.0
    of_seeds = np.diag(np.array([_seed_variance(values[index][trained[index]][:, defined]) for index in usable]))
    random = np.random.default_rng(_SEED)
    means = random.multivariate_normal(of_groups.mean(axis=1), covariance + of_seeds, _DRAWS, check_valid="ignore")
    counts = np.bincount(means.argmax(axis=1), minlength=len(usable))
    return shares | {found.settings[index]: float(count) / _DRAWS for index, count in zip(usable, counts, strict=True)}


def _seed_variance(values: np.typing.NDArray[np.float64]) -> float:
    """Variance of a mean over seeds, of the luck of training alone."""
    return float(values.mean(axis=1).var(ddof=1)) / len(values) if len(values) > 1 else 0.0
