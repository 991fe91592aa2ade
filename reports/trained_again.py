"""Settings that were trained again with other seeds: what the report needs of them, and where a study keeps them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from components.json_lines import read_lines
from reports.checking import as_numbers, is_number
from reports.rows import rows_of
from reports.statistics import Conclusion, compare_settings, conclude, settings_means
from reports.study_tables import StudyTables, named_cases
from tuning.record.retraining import Retraining, retrainings

_COLUMNS = ["setting", "seed", "case", "group", "class", "dice"]
_UNTESTED = {"running": "running or interrupted", "failed": "failed"}


@dataclass(frozen=True)
class Finalists:
    """Settings that were trained again with other seeds.

    Attributes:
        scores: as `reports.statistics` describes them, on the test split.
        baseline: the setting that the others must beat.
        search: the score of each setting in the search, for the gap that the winner's curse leaves.
        retrained: scores on the split that the search used, for the same: a row a training with columns `setting`,
            `seed` and `dice`, or a row a case; by default `search` is left out.
        of_study: whether they are those of `segtune finalists`.
    """

    scores: pd.DataFrame
    baseline: str
    search: Mapping[str, float] = field(default_factory=dict)
    retrained: pd.DataFrame | None = None
    of_study: bool = False

    def conclude(self) -> Conclusion:
        """Name a winner, or say why there is none, also while the baseline is not tested yet."""
        if (self.scores["setting"] == self.baseline).any():
            return conclude(self.scores, self.baseline)
        first = str(self.scores["setting"].iloc[0])
        none = compare_settings(self.scores, first).iloc[:0]
        sentence = f"Nothing to compare yet: {self.baseline} has no score on cases held out."
        return Conclusion(None, sentence, settings_means(self.scores), none)

    def lines(self) -> list[str]:
        """A line a setting, the best first, and what may be claimed."""
        found = self.conclude()
        width = max(map(len, found.means["setting"]))
        means = [
            f"tested    {row.setting:<{width}}  Dice {row.mean:.4f}, {_interval(row.low, row.high)}, "
            f"{row.seeds} seed{'' if row.seeds == 1 else 's'}, {row.groups} group{'' if row.groups == 1 else 's'}"
            for row in rows_of(found.means)
        ]
        return [*means, f"claim     {found.sentence}"]


def _interval(low: float, high: float) -> str:
    return "no interval" if math.isnan(low) else f"95 % interval {low:.4f} to {high:.4f}"


def read_finalists(study: StudyTables) -> Finalists | None:
    """What `segtune finalists` has trained and tested so far; None where nothing was.

    What is damaged is left out and named in `study.problems`.

    Args:
        study: that was searched.
    """
    again = study.finalists
    if again is None:
        return None
    try:
        return _read(again)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # by wrong types
        why = f"{type(error).__name__}: {error}"
        again.note("finalists", f"{again.directory.root}: what was trained again cannot be read: {why}")
        return None


def progress_sentence(again: StudyTables, tested: int) -> str:
    """How many of the trainings have ended, and how.

    Args:
        again: the study of the finalists.
        tested: trainings that were scored on cases held out.
    """
    config = again.settings["retrain"]
    wanted = len(config["settings"]) * len(config["seeds"])
    counts = again.trials["state"].value_counts()
    parts = [f"{counts[state]} {word}" for state, word in _UNTESTED.items() if counts.get(state)]
    rest = f" ({', '.join(parts)})" if parts else ""
    return f"{tested} of {wanted} trainings were scored on cases held out{rest}."


def _read(again: StudyTables) -> Finalists | None:
    config = again.settings["retrain"]
    trained = retrainings(config["settings"], config["seeds"])
    scores = _scores(again, trained)
    if scores.empty:
        return None
    searched = {str(name): float(value) for name, value in config["searched"].items() if is_number(value)}
    if len(searched) < len(config["searched"]):
        again.note("finalists", f"{again.directory.study_file}: scores of the search that are no numbers left out")
    best = {entry.number: entry.best[1] for entry in again.entries if entry.best and entry.state == "complete"}
    validated = [(item.setting, item.seed, best[item.number]) for item in trained if item.number in best]
    retrained = pd.DataFrame(validated, columns=["setting", "seed", "dice"])
    return Finalists(scores, str(config["baseline"]), searched, retrained, of_study=True)


def _scores(again: StudyTables, trained: list[Retraining]) -> pd.DataFrame:
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    for item in trained:
        path = again.directory.trial(item.number).held_out
        own = named_cases(read_lines(path, problems), path, problems)
        rows += [{**row, "setting": item.setting, "seed": item.seed} for row in own]
    where = f"{again.directory.root / 'trials'}: test.jsonl"
    table = as_numbers(pd.DataFrame(rows, columns=_COLUMNS), ["dice"], where, problems)
    twice = table.duplicated(_COLUMNS[:-1])
    if twice.any():
        problems.append(f"{where}: {twice.sum()} cases that stand twice left out")
    for problem in problems:
        again.note("finalists", problem)
    return table[~twice].reset_index(drop=True)
