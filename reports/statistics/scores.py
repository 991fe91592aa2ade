"""From scores of cases to scores of independent units: one number a setting, seed and group."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.errors import InvalidInputError

Matrix = npt.NDArray[np.float64]
MIN_GROUPS = 6  # below, no claim: the fewest pairs of which all one way give p < 0.05 in a two-sided sign test
MIN_SEEDS = 3  # below, no claim: the spread of two seeds is so often far too small that intervals cover 87 to 92 %
_NEEDED = ("setting", "seed", "case", "group")


@dataclass(frozen=True)
class GroupScores:
    """A score of each setting, seed and group.

    Attributes:
        settings: names, in order of their first row.
        seeds: of all settings.
        groups: independent units.
        scores: `(settings, seeds, groups)`; NaN where a setting was not trained with a seed, or a group is undefined.
    """

    settings: tuple[str, ...]
    seeds: tuple[object, ...]
    groups: tuple[object, ...]
    scores: Matrix

    def of(self, setting: str) -> Matrix:
        """Scores of a setting `(seeds, groups)`: its own seeds, and the groups that are defined in all of them."""
        return _complete(self.scores[self._index(setting)])

    def paired(self, first: str, second: str) -> tuple[Matrix, Matrix]:
        """Scores of two settings on the groups that both have.

        Returns:
            `(seeds, groups)` of each; the same seeds in both where they share enough for a claim, or else each its own.
        """
        one, two = self.scores[self._index(first)], self.scores[self._index(second)]
        trained_one, trained_two = (~np.isnan(values).all(axis=1) for values in (one, two))
        shared = trained_one & trained_two
        if shared.sum() >= MIN_SEEDS or (trained_one == trained_two).all():
            one, two = one[shared], two[shared]
        else:
            one, two = one[trained_one], two[trained_two]
        defined = ~(np.isnan(one).any(axis=0) | np.isnan(two).any(axis=0))
        return one[:, defined], two[:, defined]

    def _index(self, setting: str) -> int:
        if setting not in self.settings:
            raise InvalidInputError(f"setting: found {setting!r}; the table has {', '.join(self.settings)}.")
        return self.settings.index(setting)


def group_scores(scores: pd.DataFrame, value: str = "dice") -> GroupScores:
    """Average the cases of a group, then the classes.

    A patient with ten slices is one independent unit, not ten; taken for ten, intervals come out too narrow. All groups
    count alike, however many cases they have.

    Args:
        scores: as the package's docstring says; undefined scores (NaN) are left out.
        value: column of the score.

    Raises:
        InvalidInputError: a column is missing, or a case stands twice.

    Example:
        >>> rows = {"setting": "dice", "seed": 1, "case": ["a", "b", "c"], "group": [1, 1, 2], "dice": [0.5, 0.7, 0.8]}
        >>> group_scores(pd.DataFrame(rows)).of("dice")
        array([[0.6, 0.8]])
    """
    missing = [name for name in (*_NEEDED, value) if name not in scores]
    if missing:
        raise InvalidInputError(
            f"scores: found no column {', '.join(missing)}; they need {', '.join(_NEEDED)}, {value}."
        )
    classes = ["class"] if "class" in scores else []
    if scores.duplicated([*_NEEDED, *classes]).any():
        raise InvalidInputError("scores: a case stands twice for the same setting, seed, group and class.")
    unit = ["setting", "seed", "group"]
    averaged = scores.groupby([*unit, *classes], sort=False)[value].mean().groupby(unit, sort=False).mean()
    settings, seeds, groups = (tuple(scores[name].unique()) for name in unit)
    index = pd.MultiIndex.from_product([settings, seeds, groups], names=unit)
    values = averaged.reindex(index).to_numpy(float).reshape(len(settings), len(seeds), len(groups))
    return GroupScores(settings, seeds, groups, values)


def _complete(values: Matrix) -> Matrix:
    trained = values[~np.isnan(values).all(axis=1)]
    return trained[:, ~np.isnan(trained).any(axis=0)]
