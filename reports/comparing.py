"""Trials beside each other, by what they have in common."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pandas as pd

from components.errors import InvalidInputError
from reports.settings import loss_family, schedule_name, strategy_name
from reports.study_tables import StudyTables
from reports.tables import Directories, read_studies

By = Literal["trial", "loss", "strategy", "schedule", "study"]
_Naming = Callable[[Mapping[str, Any], Mapping[str, Any]], str]
_NAMINGS: dict[str, _Naming] = {"loss": loss_family, "strategy": strategy_name, "schedule": schedule_name}
_WAYS = ("trial", *_NAMINGS, "study")
_MIB = 1 << 20


def compare(directories: Directories, by: By = "trial") -> pd.DataFrame:
    """Compare trials, loss families, checkpoint strategies, loss schedules or studies.

    The scores are best validation scores of single trainings; of many noisy ones the best is too high. They say where
    to look, not who won: for that see `reports.statistics`.

    Args:
        directories: study directory, or several.
        by: what makes a row.

    Returns:
        A row a kind, the best first: columns `kind`, `trials`, `finished`, `pruned`, `failed`, `best`, `median` and
        `mean` (of `best_dice` over trials that finished), `epochs`, `seconds`, `mib_written`, `mib_kept`.

    Raises:
        InvalidInputError: `by` is none of these.

    Example:
        >>> compare(["studies/a", "studies/b"], by="loss")  # doctest: +SKIP
    """
    if by not in _WAYS:
        raise InvalidInputError(f"by: found {by!r}; expected one of {', '.join(_WAYS)}.")
    rows = pd.concat([_with_kind(study, by) for study in read_studies(directories)], ignore_index=True)
    return compare_kinds(rows)


def compare_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of `compare` from rows of trials.

    Args:
        rows: as `load_trials` gives them, with columns `kind`, `mib_written` and `mib_kept`.
    """
    finished = rows[rows["state"] == "complete"].groupby("kind")["best_dice"]
    grouped = rows.groupby("kind", sort=False)
    states = {
        name: rows[rows["state"] == state].groupby("kind").size()
        for name, state in (("finished", "complete"), ("pruned", "pruned"), ("failed", "failed"))
    }
    table = pd.DataFrame(
        {
            "trials": grouped.size(),
            **states,
            "best": finished.max(),
            "median": finished.median(),
            "mean": finished.mean(),
            **{name: grouped[name].sum() for name in ("epochs", "seconds", "mib_written", "mib_kept")},
        }
    )
    table = table.fillna(dict.fromkeys(states, 0)).astype(dict.fromkeys(states, int))
    table = table.sort_values("best", ascending=False, na_position="last", kind="stable")
    return table.rename_axis("kind").reset_index()


def _with_kind(study: StudyTables, by: By) -> pd.DataFrame:
    trials = study.trials.copy()
    trials["kind"] = kinds_of(study, by)
    written = study.checkpoints.assign(mib=study.checkpoints["bytes"] / _MIB)
    for name, part in (("mib_written", written), ("mib_kept", written[written["kept"]])):
        trials[name] = trials["number"].map(part.groupby("number")["mib"].sum()).fillna(0.0).astype(float)
    return trials


def kinds_of(study: StudyTables, by: By) -> list[str]:
    """What each row of `study.trials` belongs to."""
    if by == "study":
        return [study.name] * len(study.trials)
    rows = zip(study.trials["params"], study.trials["number"], study.trials["baseline"], strict=True)
    if by == "trial":
        return [f"{study.name}: {name or f'trial {number}'}" for _, number, name in rows]
    naming, settings = _NAMINGS[by], study.settings
    return [naming(params, settings) for params, _, _ in rows]
