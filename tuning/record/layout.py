"""Where everything stands in a study directory."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from components.json_lines import Row, append_line, mend_lines, parse_line, read_lines, replace_text, rewrite_lines
from components.plain_text import escape, shorten
from tuning.errors import StudyMismatchError, StudyNotFoundError, UnsafePathError
from tuning.record.places import checkpoint_in, file_in, folder_in
from tuning.record.shape import missing_settings, shape_problems

FORMAT_VERSION = 1
_OF_A_START = ("changed", "versions", "code")  # mappings
_MOST_ATTEMPTS, _MOST_SECONDS = 1_000_000, 1e12  # far beyond any; a larger number was not written by a run
_LONGEST_LINE = 500  # characters of a line of a log that are shown
_TAIL_BYTES = 1 << 20  # of a log that are read to find its last lines
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
        if not self.params.exists():
            return {}
        found = parse_line(self.params.read_bytes())
        if found is None:
            raise _damaged(self.params, "it is no JSON object")
        return found

    def epochs(self) -> dict[int, dict[str, Any]]:
        """Row of each epoch; where an epoch was trained again, the later row counts."""
        return {row["epoch"]: row for row in read_lines(self.metrics, is_whole=is_epoch_row)}

    def case_scores(self) -> list[dict[str, Any]]:
        """Rows of `cases.jsonl`, surface metrics joined; where an epoch was trained again, the later ones count."""
        rows: dict[tuple[int, str, str], dict[str, Any]] = {}
        for row in read_lines(self.cases, is_whole=is_case_row):
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
        """The last lines of the log; empty where it cannot be read."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(stream.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
                text = stream.read().decode(errors="replace")
        except OSError:
            return ""
        return escape("\n".join(shorten(line, _LONGEST_LINE) for line in text.splitlines()[-lines:]))


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
    def scheduler_log(self) -> Path:
        """Every result in the order of its arrival, and what the scheduler decided on it; see `record.scheduling`."""
        return file_in(self.root, self.root / "scheduler.jsonl")

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

    @property
    def pictures(self) -> Path:
        """Validation cases for the report, where only the study's own code can make them."""
        return file_in(self.root, self.root / "pictures.npz")

    @property
    def moved_file(self) -> Path:
        """Where data, weights or a script have gone since the study was made."""
        return file_in(self.root, self.root / "moved.jsonl")

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
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise _damaged(self.study_file, " ".join(str(error).split())) from error
        found = record.get("format") if isinstance(record, dict) else None
        if found != FORMAT_VERSION:
            raise StudyMismatchError(
                f"{self.study_file}: found format version {found!r}, this segtune reads {FORMAT_VERSION}. "
                "Hint: use the segtune that wrote the study, or another --dir."
            )
        if problems := shape_problems(record):
            raise _damaged(self.study_file, "; ".join(problems))
        return dict(record)

    def read_whole(self) -> dict[str, Any]:
        """As `read`, with all settings that a journal and a report need.

        Raises:
            StudyNotFoundError, StudyMismatchError: as `read`, and where a setting is missing.
        """
        record = self.read()
        if missing := missing_settings(record["settings"]):
            raise _damaged(self.study_file, f"its settings lack {', '.join(missing)}")
        return record

    def attempts(self) -> list[dict[str, Any]]:
        """The events of all attempts, oldest first."""
        return read_lines(self.attempts_file, is_whole=is_attempt_event)

    def log_attempt(self, attempt: int, event: str, **facts: Any) -> None:
        """Append an event (`start` or `end`) of an attempt; the caller holds the study's lock."""
        mend_lines(self.attempts_file, is_whole=is_attempt_event)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        append_line(self.attempts_file, {"attempt": attempt, "event": event, "time": when, **facts})

    def moved(self, after: int) -> dict[str, Any]:
        """Settings that name where something lies now, by dotted path, as noted since an attempt started."""
        lines = read_lines(self.moved_file, is_whole=_is_move)
        return {line["path"]: line["to"] for line in lines if line["attempt"] >= after}

    def log_moved(self, attempt: int, path: str, to: str) -> None:
        """Note where a path of the settings leads now; the caller holds the study's lock."""
        mend_lines(self.moved_file, is_whole=_is_move)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        append_line(self.moved_file, {"attempt": attempt, "path": path, "to": to, "time": when})


def is_epoch_row(row: Row) -> bool:
    """Whether a row says of which epoch it is."""
    return type(row.get("epoch")) is int and row["epoch"] >= 0


def is_case_row(row: Row) -> bool:
    """Whether a row of scores says of which epoch, case and class it is."""
    return is_epoch_row(row) and isinstance(row.get("case"), str) and isinstance(row.get("class"), str)


def is_attempt_event(row: Row) -> bool:
    """Whether a row is the start or the end of an attempt, with what goes on from there."""
    if not (type(row.get("attempt")) is int and 0 < row["attempt"] < _MOST_ATTEMPTS and _is_time(row.get("time"))):
        return False
    if row.get("event") == "end":
        return type(row.get("seconds")) in (int, float) and 0 <= row["seconds"] < _MOST_SECONDS
    return row.get("event") == "start" and all(isinstance(row.get(part, {}), dict) for part in _OF_A_START)


def _is_move(row: Row) -> bool:
    return type(row.get("attempt")) is int and isinstance(row.get("path"), str) and isinstance(row.get("to"), str)


def _is_time(value: object) -> bool:
    try:
        datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


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
            rewrite_lines(path, [line for line in read_lines(path, is_whole=is_epoch_row) if line["epoch"] <= epoch])
