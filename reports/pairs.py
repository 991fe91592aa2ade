"""The best setting of a search beside the best baseline, case by case."""

from dataclasses import dataclass

import pandas as pd

from reports.sentences import best_of
from reports.study_tables import StudyTables
from tuning.record import trial_label


@dataclass(frozen=True)
class Pairing:
    """Two trials and their scores of the same cases.

    Attributes:
        tuned: number of the best search trial.
        baseline: number of the best baseline.
        names: of baseline and tuned, for people.
        cases: columns `case`, `baseline`, `tuned` (mean Dice over classes), `gain`; the worst gain first.
        classes: columns `class`, `baseline`, `tuned` (mean Dice over cases).
    """

    tuned: int
    baseline: int
    names: tuple[str, str]
    cases: pd.DataFrame
    classes: pd.DataFrame


def pair_best(study: StudyTables) -> Pairing | None:
    """Pair the best search trial with the best baseline; None where one of them has no score."""
    tuned, baseline = best_of(study.trials, baseline=False), best_of(study.trials, baseline=True)
    if tuned is None or baseline is None:
        return None
    rows = study.cases_of([tuned.number, baseline.number])
    kinds = rows["number"].map({tuned.number: "tuned", baseline.number: "baseline"})
    tables = [_side_by_side(rows, kinds, by) for by in ("case", "class")]
    cases = tables[0].assign(gain=tables[0]["tuned"] - tables[0]["baseline"])
    return Pairing(
        tuned.number,
        baseline.number,
        (trial_label(baseline.number, baseline.baseline), trial_label(tuned.number)),
        cases.sort_values("gain", kind="stable", ignore_index=True),
        tables[1],
    )


def _side_by_side(rows: pd.DataFrame, kinds: "pd.Series[str]", by: str) -> pd.DataFrame:
    averaged = rows.assign(kind=kinds).pivot_table("dice", by, "kind", sort=False)
    return averaged.reindex(columns=["baseline", "tuned"]).astype(float).reset_index()
