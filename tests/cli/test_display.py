"""Nobody reads the output any more, or the disk below it is full: work and exit code stay what they are."""

import errno
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.errors import CheckpointError, DiskFullError
from tests.commands import ROOT
from tests.conftest import small_settings
from tests.report_studies import StudyWriter
from tuning import cli
from tuning.record import StudyDirectory, open_journal


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    changes = {"search": {"trials": 3, "baselines": False}, "training": {"epochs": 2}}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(small_settings(**changes)))
    return file


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def states(folder: Path) -> set[str]:
    return {entry.state for entry in open_journal(StudyDirectory(folder / "studies" / "small")).trials()}


@pytest.mark.ray
def test_a_pipe_that_is_closed_ends_no_study(study_file: Path) -> None:
    command = f"{sys.executable} -m tuning run study.yaml 2>&1 | head -2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=study_file.parent,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) == 2
    assert states(study_file.parent) <= {"complete", "pruned"}


@pytest.mark.ray
def test_a_terminal_that_is_closed_ends_no_study(study_file: Path) -> None:
    """As with nohup: the hang-up signal is ignored, and every write fails from then on."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "tuning", "run", "study.yaml"],
        cwd=study_file.parent,
        env=environment() | {"TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # noqa: PLW1509 - nothing else runs here
    )
    os.close(theirs)
    os.read(ours, 100)
    os.close(ours)
    assert running.wait(250) == 0
    assert states(study_file.parent) <= {"complete", "pruned"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    study = StudyWriter(tmp_path / "study", epochs=2, name="=cmd")
    study.add([0.4, 0.6], params={"model.build": "@SUM(A1)"}, state="failed", cause="=cmd|' /C calc'!A0")
    return study.write()


def test_a_table_that_meets_a_full_disk_is_not_said_to_be_written(written: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tuning", "report", str(written), "--format", "csv"],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize("form", ["csv", "table"])
def test_tables_compute_nothing(written: Path, form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tuning", "report", str(written), "--format", form],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert form == "table" or "\n=" not in done.stdout.replace(",", "\n")
    assert "=cmd" in done.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "place/file"), 4),
        (PermissionError(errno.EACCES, "Permission denied", "place/file"), 4),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "place/file"), 4),
        (ModuleNotFoundError("No module named 'psycopg2', for place/file", name="psycopg2"), 4),
        (DiskFullError("place/file: no space"), 4),
        (CheckpointError("place/file: is not one"), 2),
        (ModuleNotFoundError("No module named 'tuning.nothing', place/file", name="tuning.nothing"), 3),
        (KeyError("place/file"), 3),
    ],
)
def test_only_a_bug_of_ours_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def broken(**options: object) -> None:
        del options
        raise error

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(sys, "argv", ["segtune"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    said = capsys.readouterr().err
    assert exited.value.code == code
    assert "place/file" in said
    assert ("This should not happen" in said) == (code == 3)
