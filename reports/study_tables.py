"""Every table of one study, each read once and when it is asked for."""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from components.json_lines import read_lines
from components.references import masked
from reports.checking import as_numbers, is_epoch, is_number
from reports.columns import Columns
from reports.journal import read_entries
from reports.reading import collector_paused
from tuning.record import StudyDirectory, TrialEntry, checkpoint_in

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
_DECIDED = ("bytes", "seconds", "epoch_seconds")
_NAMES = ("case", "group", "class")
_NUMBERS = ("seconds", "lr", "train_loss", "soup_size", "val_", "dice_of_", *(f"{part}_" for part in _TERM_PARTS))
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
        self.record = masked(self.directory.read_whole())
        self.name = self.directory.root.name
        self._problems: dict[str, list[str]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The study as it was resolved."""
        return dict(self.record["settings"])

    @property
    def problems(self) -> list[str]:
        """What could not be read, of the tables that were asked for so far."""
        again = self.__dict__.get("finalists")
        return [line for lines in self._problems.values() for line in lines] + (again.problems if again else [])

    def note(self, table: str, problem: str) -> None:
        """Add what could not be read, once."""
        if problem not in self._found(table):
            self._found(table).append(problem)

    @cached_property
    def finalists(self) -> "StudyTables | None":
        """The tables of the settings that were trained again; None where none were, or their record cannot be read."""
        if not self.directory.finalists.exists():
            return None
        try:
            return StudyTables(self.directory.finalists.root)
        except (OSError, ValueError) as error:
            self.note("finalists", str(error))
            return None

    @cached_property
    @collector_paused()
    def entries(self) -> list[TrialEntry]:
        """The journal's trials, baselines first."""
        return read_entries(self.directory, self.record, self._found("journal"))

    @cached_property
    def attempts(self) -> list[dict[str, Any]]:
        """Start and end of each attempt."""
        return read_lines(self.directory.attempts_file, self._found("attempts"))

    @cached_property
    @collector_paused()
    def trials(self) -> pd.DataFrame:
        """As `reports.load_trials`."""
        seconds = self.epochs.groupby("number")["seconds"].sum() if "seconds" in self.epochs else pd.Series(dtype=float)
        kept = self._best_kept()
        rows = [self._trial_row(entry, seconds, kept) for entry in self.entries]
        table = pd.DataFrame(rows, columns=list(TRIAL_COLUMNS), dtype=object)
        return table.astype({"number": int, "epochs": int, "best_epoch": "Int64", "best_dice": float, "seconds": float})

    @cached_property
    @collector_paused()
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
        odd = [name for name in table.columns if name.startswith(_NUMBERS) and table[name].dtype.kind not in "iuf"]
        table = as_numbers(table, odd, f"{self.directory.root / 'trials'}: metrics", self._found("epochs"))
        if "val_dice" not in table:
            table["val_dice"] = float("nan")
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
    @collector_paused()
    def checkpoints(self) -> pd.DataFrame:
        """As `reports.checkpoints_table`."""
        names = ("study", "number", "epoch", "dice", "bytes", "path", "kept")
        root, rows = self.directory.root, []
        for entry in self.entries:
            lines = self._by_epoch(self.directory.trial(entry.number).index, self._found("checkpoints"))
            for line in (lines[epoch] for epoch in sorted(lines)):
                path, is_there = self._place(entry, line.get("path"))
                facts = (line["epoch"], line.get("dice"), line.get("bytes", 0), path, is_there)
                rows.append((self.name, entry.number, *facts))
        table = pd.DataFrame(rows, columns=list(names)).astype({"kept": bool})
        where = f"{root / 'trials'}: checkpoints"
        return as_numbers(table, ["dice", "bytes"], where, self._found("checkpoints")).fillna({"bytes": 0.0})

    @cached_property
    @collector_paused()
    def saves(self) -> pd.DataFrame:
        """What deciding and saving cost each trial.

        Returns:
            Columns `number`, `saves`, `bytes` (written), `waited` and `trained` (seconds).
        """
        rows = []
        for entry in self.entries:
            path = self.directory.trial(entry.number).decisions
            lines = read_lines(path, self._found("decisions"))
            facts = [[line.get(name, 0) for name in _DECIDED] for line in lines]
            known = [[value if is_number(value) else 0.0 for value in row] for row in facts]
            if known != facts or not all(isinstance(line.get("path", ""), str) for line in lines):
                self.note("decisions", f"{path}: values that make no sense left out")
            sums = [float(sum(values)) for values in zip(*known, strict=True)] or [0.0] * len(_DECIDED)
            rows.append((entry.number, sum(bool(line.get("path")) for line in lines), *sums))
        return pd.DataFrame(rows, columns=["number", "saves", "bytes", "waited", "trained"])

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
    @collector_paused()
    def cases(self) -> pd.DataFrame:
        """As `reports.cases_table`."""
        return self.cases_of([entry.number for entry in self.entries])

    def cases_of(self, numbers: list[int]) -> pd.DataFrame:
        """As `cases`, of some trials alone, which spares reading the others."""
        chosen = set(numbers)
        rows = [row for entry in self.entries if entry.number in chosen and entry.best for row in self._cases_of(entry)]
        table = pd.DataFrame(rows, columns=None if rows else list(_CASE_COLUMNS))
        scores = list(table.columns.difference(list(_CASE_COLUMNS[:-1])))
        return as_numbers(table, scores, f"{self.directory.root / 'trials'}: cases", self._found("cases"))

    def _cases_of(self, entry: TrialEntry) -> list[dict[str, Any]]:
        best = entry.best[0] if entry.best else 0
        found: dict[tuple[str, str], dict[str, Any]] = {}
        path = self.directory.trial(entry.number).cases
        for row in named_cases(read_lines(path, self._found("cases")), path, self._found("cases")):
            if row["epoch"] == best:
                found.setdefault((row["case"], row["class"]), {}).update(row)
        own = {"study": self.name, "number": entry.number, "baseline": entry.baseline}
        return [{**own, **row, **own} for row in found.values()]

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

    def _place(self, entry: TrialEntry, path: object) -> tuple[str, bool]:
        """Where a checkpoint is and whether it is still there; what is no checkpoint of the trial is named."""
        trial = self.directory.trial(entry.number)
        try:
            folder = checkpoint_in(self.directory.root, trial.path.name, path)
            return str(path), folder.is_dir()
        except (ValueError, OSError) as error:
            self.note("checkpoints", f"{trial.index}: {error}")
            return "", False

    def _best_kept(self) -> dict[int, str]:
        """Path of each trial's best checkpoint that is still there; of equal ones the later."""
        there = self.checkpoints[self.checkpoints["kept"]].sort_values(["dice", "epoch"], kind="stable")
        return dict(zip(there["number"], there["path"], strict=True))

    def _found(self, table: str) -> list[str]:
        return self._problems.setdefault(table, [])

    @staticmethod
    def _by_epoch(path: Path, problems: list[str]) -> dict[int, dict[str, Any]]:
        """Row of each epoch; where an epoch was trained again, the later row counts."""
        rows = read_lines(path, problems)
        counted = [row for row in rows if is_epoch(row.get("epoch"))]
        if len(rows) > len(counted):
            problems.append(f"{path}: rows without an epoch left out")
        return {row["epoch"]: row for row in counted}


def named_cases(rows: list[dict[str, Any]], path: Path, problems: list[str]) -> list[dict[str, Any]]:
    """The rows of scores that say of which epoch, case, group and class they are; of the others the number is noted."""
    whole = [
        row for row in rows if is_epoch(row.get("epoch")) and all(isinstance(row.get(name), str) for name in _NAMES)
    ]
    if len(rows) > len(whole):
        problems.append(f"{path}: {len(rows) - len(whole)} rows without epoch, case, group or class left out")
    return whole
