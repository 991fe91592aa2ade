"""Where everything stands in a study directory."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from tuning.errors import StudyMismatchError, StudyNotFoundError, UnsafePathError
from tuning.record.jsonl import append_line, cut_torn_tail, read_lines, replace_text, rewrite_lines
from tuning.record.places import checkpoint_in, file_in, folder_in

FORMAT_VERSION = 1
_PARTS = ("settings", "data")  # of study.yaml, that whoever reads a study needs
SEEDED = ", seed "  # in the name of a finalist
_OF_A_LINE: dict[str, Callable[[object], bool]] = {
    "epoch": lambda value: type(value) is int and value >= 0,
    "dice": lambda value: type(value) in (int, float),
    "bytes": lambda value: type(value) is int and value >= 0,
}  # what a line of an index says beside the path


@dataclass(frozen=True)
class TrialDirectory:
    """The record of one trial; each path was looked at, see `tuning.record.places`.

    `params.json`, `metrics.jsonl`, `cases.jsonl`, `checkpoints.jsonl` (the index), `decisions.jsonl` and `log.txt`.
    """

    path: Path
    study_root: Path

    @property
    def params(self) -> Path:
        """The sampled settings of the trial."""
        return file_in(self.study_root, self.path / "params.json")

    @property
    def metrics(self) -> Path:
        """One line an epoch."""
        return file_in(self.study_root, self.path / "metrics.jsonl")

    @property
    def index(self) -> Path:
        """One line a checkpoint, over all attempts, with paths relative to the study."""
        return file_in(self.study_root, self.path / "checkpoints.jsonl")

    @property
    def decisions(self) -> Path:
        """One line an epoch: whether a checkpoint was saved, why, and what that cost."""
        return file_in(self.study_root, self.path / "decisions.jsonl")

    @property
    def cases(self) -> Path:
        """Scores of each validation case and class, of each epoch that was the best so far (of its fold)."""
        return file_in(self.study_root, self.path / "cases.jsonl")

    @property
    def held_out(self) -> Path:
        """Scores of each test case and class, of a finalist's best checkpoint; written once."""
        return file_in(self.study_root, self.path / "test.jsonl")

    @property
    def log(self) -> Path:
        """What the trial printed."""
        return file_in(self.study_root, self.path / "log.txt")

    def settings(self) -> dict[str, Any]:
        """Sampled settings by dotted path; empty before they were drawn."""
        found: dict[str, Any] = json.loads(self.params.read_text(encoding="utf-8")) if self.params.exists() else {}
        return found

    def epochs(self) -> dict[int, dict[str, Any]]:
        """Row of each epoch; where an epoch was trained again, the later row counts."""
        return {row["epoch"]: row for row in read_lines(self.metrics)}

    def case_scores(self) -> list[dict[str, Any]]:
        """Rows of `cases.jsonl`, surface metrics joined; where an epoch was trained again, the later ones count."""
        rows: dict[tuple[int, str, str], dict[str, Any]] = {}
        for row in read_lines(self.cases):
            rows.setdefault((row["epoch"], row["case"], row["class"]), {}).update(row)
        return list(rows.values())

    def checkpoints(self) -> list[dict[str, Any]]:
        """Index lines of the checkpoints that are still there, by epoch; the later line of an epoch counts.

        A line that names no checkpoint of this trial is left out; `read_index` says which and why.
        """
        lines = {line["epoch"]: line for line in read_index(self)[0] if (self.study_root / line["path"]).is_dir()}
        return [lines[epoch] for epoch in sorted(lines)]

    def best_checkpoint(self) -> dict[str, Any] | None:
        """Index line with the best Dice; of equal ones the later."""
        return max(self.checkpoints(), key=lambda line: (line["dice"], line["epoch"]), default=None)

    def log_tail(self, lines: int = 10) -> str:
        """The last lines of the log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


@dataclass(frozen=True)
class StudyDirectory:
    """A study directory; `root` is made absolute, since a journal lock on a relative path can spin for ever."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.absolute())

    @property
    def study_file(self) -> Path:
        """The study as it was resolved; never rewritten."""
        return file_in(self.root, self.root / "study.yaml")

    @property
    def journal(self) -> Path:
        """The Optuna journal, the one truth."""
        return file_in(self.root, self.root / "journal.log")

    @property
    def attempts_file(self) -> Path:
        """Start and end of each attempt."""
        return file_in(self.root, self.root / "attempts.jsonl")

    @property
    def lock(self) -> Path:
        """Held by the process that runs the study."""
        return file_in(self.root, self.root / "study.lock")

    @property
    def owner(self) -> Path:
        """Which process that is."""
        return file_in(self.root, self.root / "running.json")

    @property
    def reports(self) -> Path:
        """Tables and reports; can be thrown away and made again."""
        return folder_in(self.root, self.root / "report")

    @property
    def finalists(self) -> "StudyDirectory":
        """The study in which the best settings are trained again."""
        return StudyDirectory(folder_in(self.root, self.root / "finalists"))

    def exists(self) -> bool:
        """Whether a study was made here."""
        return self.study_file.exists()

    def trial(self, number: int) -> TrialDirectory:
        """The record of a trial."""
        return TrialDirectory(self.root / "trials" / trial_name(number), self.root)

    def trial_names(self) -> list[str]:
        """Folder names of the trials that have a record."""
        folder = folder_in(self.root, self.root / "trials")
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def attempt(self, attempt: int, part: int = 0) -> Path:
        """The folder of Ray Tune's own files for an attempt, or for a later part of it."""
        return folder_in(self.root, self.root / "attempts" / (f"{attempt:02d}-{part}" if part else f"{attempt:02d}"))

    def create(self, record: dict[str, Any]) -> None:
        """Write `study.yaml`: format version, settings, data fingerprint, versions."""
        self.root.mkdir(parents=True, exist_ok=True)
        record = {
            "format": FORMAT_VERSION,
            "id": uuid4().hex,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        } | record
        replace_text(self.study_file, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))

    def read(self) -> dict[str, Any]:
        """Read `study.yaml`.

        Raises:
            StudyNotFoundError: there is none.
            StudyMismatchError: it is of another format version, or damaged.
        """
        if not self.exists():
            raise StudyNotFoundError(f"{self.root}: no study here (no study.yaml). Hint: start one with segtune run.")
        try:
            record = yaml.safe_load(self.study_file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise _damaged(self.study_file, " ".join(str(error).split())) from error
        found = record.get("format") if isinstance(record, dict) else None
        if found != FORMAT_VERSION:
            raise StudyMismatchError(
                f"{self.study_file}: found format version {found!r}, this segtune reads {FORMAT_VERSION}. "
                "Hint: use the segtune that wrote the study, or another --dir."
            )
        if missing := [part for part in _PARTS if not isinstance(record.get(part), dict)]:
            raise _damaged(self.study_file, f"it lacks {' and '.join(missing)}")
        return dict(record)

    def attempts(self) -> list[dict[str, Any]]:
        """The events of all attempts, oldest first."""
        return read_lines(self.attempts_file)

    def log_attempt(self, attempt: int, event: str, **facts: Any) -> None:
        """Append an event (`start` or `end`) of an attempt; the caller holds the study's lock."""
        cut_torn_tail(self.attempts_file)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        append_line(self.attempts_file, {"attempt": attempt, "event": event, "time": when, **facts})


def read_index(trial: TrialDirectory) -> tuple[list[dict[str, Any]], list[str]]:
    """The lines of a trial's index that name a checkpoint of it, there or not, and why the others are refused."""
    lines, refused = [], []
    for line in read_lines(trial.index):
        why = _why_refused(trial, line)
        if why:
            refused.append(f"{trial.index}: {why}; the line is left out, and nothing that it names was touched.")
        else:
            lines.append(line)
    return lines, refused


def _why_refused(trial: TrialDirectory, line: dict[str, Any]) -> str:
    """What keeps a line from being one of this trial's index; empty when nothing does."""
    try:
        checkpoint_in(trial.study_root, trial.path.name, line.get("path"))
    except UnsafePathError as error:
        return str(error).rstrip(".")
    wrong = [name for name, is_right in _OF_A_LINE.items() if not is_right(line.get(name))]
    return f"{line['path']!r} has no {' and no '.join(wrong)}" if wrong else ""


def _damaged(path: Path, why: str) -> StudyMismatchError:
    return StudyMismatchError(f"{path}: is damaged: {why}. Hint: restore it from a copy.")


def trial_name(number: int) -> str:
    """Folder name of a trial: `0007`, or `b01` for the first baseline, whose number is -1."""
    return f"{number:04d}" if number >= 0 else f"b{-number:02d}"


def trial_label(number: int, baseline: str | None = None) -> str:
    """What a trial is called in text: `trial 7`, `baseline dice`, or `trial 7, seed 1001` of a finalist."""
    if number >= 0:
        return f"trial {number}"
    return baseline if baseline and SEEDED in baseline else f"baseline {baseline or -number}"


def drop_epochs_after(trial: TrialDirectory, epoch: int) -> None:
    """Forget the rows and decisions of epochs after `epoch`, which are about to be trained again."""
    if trial.metrics.exists():
        rows = trial.epochs()
        rewrite_lines(trial.metrics, [rows[number] for number in sorted(rows) if number <= epoch])
    for path in (trial.decisions, trial.cases):
        if path.exists():
            rewrite_lines(path, [line for line in read_lines(path) if line["epoch"] <= epoch])
