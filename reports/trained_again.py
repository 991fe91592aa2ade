"""Settings that were trained again with other seeds: what the report needs of them, and where a study keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports.reading import read_rows
from reports.rows import rows_of
from reports.statistics import Conclusion, conclude
from reports.study_tables import StudyTables
from tuning.record.retraining import retrainings

_COLUMNS = ["setting", "seed", "case", "group", "class", "dice"]


@dataclass(frozen=True)
class Finalists:
    """Settings that were trained again with other seeds.

    Attributes:
        scores: as `reports.statistics` describes them, on the test split.
        baseline: the setting that the others must beat.
        search: the score of each setting in the search, for the gap that the winner's curse leaves.
        retrained: scores on the split that the search used, for the same; by default `search` is left out.
    """

    scores: pd.DataFrame
    baseline: str
    search: Mapping[str, float] = field(default_factory=dict)
    retrained: pd.DataFrame | None = None

    def conclude(self) -> Conclusion:
        """Name a winner, or say why there is none."""
        return conclude(self.scores, self.baseline)

    def lines(self) -> list[str]:
        """A line a setting, the best first, and what may be claimed."""
        found = self.conclude()
        width = max(map(len, found.means["setting"]))
        means = [
            f"tested    {row.setting:<{width}}  Dice {row.mean:.4f}, 95 % interval {row.low:.4f} to {row.high:.4f}, "
            f"{row.seeds} seeds, {row.groups} groups"
            for row in rows_of(found.means)
        ]
        return [*means, f"claim     {found.sentence}"]


def read_finalists(study: StudyTables) -> Finalists | None:
    """What `segtune finalists` has trained and tested so far; None where nothing was.

    Args:
        study: that was searched.
    """
    if not study.directory.finalists.exists():
        return None
    again = StudyTables(study.directory.finalists.root)
    config = again.settings["retrain"]
    trained = {item.number: item for item in retrainings(config["settings"], config["seeds"])}
    tested: list[dict[str, Any]] = []
    for item in trained.values():
        rows = read_rows(again.directory.trial(item.number).held_out, [])
        tested += [{**row, "setting": item.setting, "seed": item.seed} for row in rows]
    if not tested:
        return None
    scores = pd.DataFrame(tested)[_COLUMNS].astype({"dice": float})
    numbers = again.cases["number"]
    settings, seeds = ({n: getattr(item, name) for n, item in trained.items()} for name in ("setting", "seed"))
    validated = again.cases.assign(setting=numbers.map(settings), seed=numbers.map(seeds))
    return Finalists(scores, config["baseline"], config["searched"], validated[_COLUMNS])
