"""Every table of one study, each read once and when it is asked for."""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from reports.columns import Columns
from reports.journal import read_entries
from reports.reading import read_rows
from tuning.record import StudyDirectory, TrialEntry

TRIAL_COLUMNS = (
    "study",
    "number",
    "state",
    "cause",
    "best_dice",
    "best_epoch",
    "epochs",
    "seconds",
    "checkpoint",
    "params",
    "baseline",
    "infeasible",
)
_TERM_PARTS = ("loss", "weight", "weighted", "gradient_norm", "gradient_share")
_CASE_COLUMNS = ("study", "number", "baseline", "epoch", "case", "group", "class", "dice")
_LOG_LINES = 20


class StudyTables:
    """The tables of a study; what is damaged is left out and named in `problems`.

    Args:
        directory: study directory.

    Raises:
        StudyNotFoundError: there is no study.
        StudyMismatchError: it is of another format version.

    Example:
        >>> StudyTables("studies/brain").failures[["number", "cause"]]  # doctest: +SKIP
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = StudyDirectory(Path(directory))
        self.record = self.directory.read()
        self.name = self.directory.root.name
        self._problems: dict[str, list[str]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The study as it was resolved."""
        return dict(self.record["settings"])

    @property
    def problems(self) -> list[str]:
        """What could not be read, of the tables that were asked for so far."""
        return [line for lines in self._problems.values() for line in lines]

    @cached_property
    def entries(self) -> list[TrialEntry]:
        """The journal's trials, baselines first."""
        return read_entries(self.directory, self.record, self._found("journal"))

    @cached_property
    def attempts(self) -> list[dict[str, Any]]:
        """Start and end of each attempt."""
        return read_rows(self.directory.attempts_file, self._found("attempts"))

    @cached_property
    def trials(self) -> pd.DataFrame:
        """As `reports.load_trials`."""
        seconds = self.epochs.groupby("number")["seconds"].sum() if "seconds" in self.epochs else pd.Series(dtype=float)
        kept = self._best_kept()
        rows = [self._trial_row(entry, seconds, kept) for entry in self.entries]
        table = pd.DataFrame(rows, columns=list(TRIAL_COLUMNS), dtype=object)
        return table.astype({"number": int, "epochs": int, "best_epoch": "Int64", "best_dice": float, "seconds": float})

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """As `reports.epochs_table`."""
        columns = Columns()
        for entry in self.entries:
            rows = self._by_epoch(self.directory.trial(entry.number).metrics, self._found("epochs"))
            if rows:
                columns.add(entry.number, [rows[epoch] for epoch in sorted(rows)])
        table = columns.table()
        if table.empty:
            return pd.DataFrame(columns=["study", "number", "epoch", "val_dice"])
        table.insert(0, "study", self.name)
        return table

    @cached_property
    def terms(self) -> pd.DataFrame:
        """As `reports.terms_table`."""
        epochs = self.epochs
        names = [name.removeprefix("weight_") for name in epochs.columns if name.startswith("weight_")]
        parts = []
        for term in names:
            present = {part: f"{part}_{term}" for part in _TERM_PARTS if f"{part}_{term}" in epochs}
            rows = epochs[epochs[f"weight_{term}"].notna()]
            own = {part: rows[column] for part, column in present.items()}
            parts.append(rows[["study", "number", "epoch"]].assign(term=term, **own))
        if not parts:
            return pd.DataFrame(columns=["study", "number", "epoch", "term", "loss", "weight"])
        return pd.concat(parts).sort_values(["number", "epoch"], kind="stable", ignore_index=True)

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """As `reports.checkpoints_table`."""
        names = ("study", "number", "epoch", "dice", "bytes", "path", "kept")
        root, rows = self.directory.root, []
        for entry in self.entries:
            lines = self._by_epoch(self.directory.trial(entry.number).index, self._found("checkpoints"))
            for line in (lines[epoch] for epoch in sorted(lines)):
                path = str(line.get("path", ""))
                kept = bool(path) and (root / path).is_dir()
                rows.append(
                    (self.name, entry.number, line["epoch"], line.get("dice"), line.get("bytes", 0), path, kept)
                )
        return pd.DataFrame(rows, columns=list(names)).astype({"dice": float, "kept": bool})

    @cached_property
    def failures(self) -> pd.DataFrame:
        """As `reports.failures_table`."""
        rows = [
            {
                "study": self.name,
                "number": entry.number,
                "baseline": entry.baseline,
                "cause": entry.cause,
                "epochs": max(entry.dice, default=0),
                "log": self.directory.trial(entry.number).log_tail(_LOG_LINES),
            }
            for entry in self.entries
            if entry.state == "failed"
        ]
        return pd.DataFrame(rows, columns=["study", "number", "baseline", "cause", "epochs", "log"])

    @cached_property
    def cases(self) -> pd.DataFrame:
        """As `reports.cases_table`."""
        return self.cases_of([entry.number for entry in self.entries])

    def cases_of(self, numbers: list[int]) -> pd.DataFrame:
        """As `cases`, of some trials alone, which spares reading the others."""
        chosen = set(numbers)
        rows = [row for entry in self.entries if entry.number in chosen and entry.best for row in self._cases_of(entry)]
        table = pd.DataFrame(rows, columns=None if rows else list(_CASE_COLUMNS))
        for name in table.columns.difference(list(_CASE_COLUMNS[:-1])):
            table[name] = pd.to_numeric(table[name], errors="coerce")
        return table

    def _cases_of(self, entry: TrialEntry) -> list[dict[str, Any]]:
        best = entry.best[0] if entry.best else 0
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in read_rows(self.directory.trial(entry.number).cases, self._found("cases")):
            if row.get("epoch") == best and "case" in row and "class" in row:
                found.setdefault((str(row["case"]), str(row["class"])), {}).update(row)
        own = {"study": self.name, "number": entry.number, "baseline": entry.baseline}
        return [{**own, **row} for row in found.values()]

    def _trial_row(self, entry: TrialEntry, seconds: "pd.Series[float]", kept: dict[int, str]) -> dict[str, Any]:
        best_epoch, best_dice = entry.best or (None, None)
        checkpoint = kept.get(entry.number)
        return {
            "study": self.name,
            "number": entry.number,
            "state": entry.state,
            "cause": entry.cause,
            "best_dice": best_dice,
            "best_epoch": best_epoch,
            "epochs": max(entry.dice, default=0),
            "seconds": float(seconds.get(entry.number, 0.0)),
            "checkpoint": str(self.directory.root / checkpoint) if checkpoint else None,
            "params": entry.settings,
            "baseline": entry.baseline,
            "infeasible": "; ".join(entry.infeasible),
        }

    def _best_kept(self) -> dict[int, str]:
        """Path of each trial's best checkpoint that is still there; of equal ones the later."""
        there = self.checkpoints[self.checkpoints["kept"]].sort_values(["dice", "epoch"], kind="stable")
        return dict(zip(there["number"], there["path"], strict=True))

    def _found(self, table: str) -> list[str]:
        return self._problems.setdefault(table, [])

    @staticmethod
    def _by_epoch(path: Path, problems: list[str]) -> dict[int, dict[str, Any]]:
        """Row of each epoch; where an epoch was trained again, the later row counts."""
        rows = read_rows(path, problems)
        found = {row["epoch"]: row for row in rows if isinstance(row.get("epoch"), int)}
        if len(rows) > sum(isinstance(row.get("epoch"), int) for row in rows):
            problems.append(f"{path}: rows without an epoch left out")
        return found
