"""Runs the command in a process of its own, kills it with all of Ray, and reads what a study has come to."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import small_settings
from tests.tunes_record import tunes_best
from tuning.record import StudyDirectory, open_journal, trial_name

ROOT = Path(__file__).parent.parent.parent
_PATIENCE_S = 300  # a resumed population alone takes 110 s where other work keeps both cores busy


def write_study_file(folder: Path) -> Path:
    """A study with one trial at a time, slow enough that a kill finds it at work."""
    settings = small_settings(
        model={"arguments": {"seconds": 0.02}},
        training={"epochs": 6},
        search={
            "trials": 6,
            "seed": 5,
            "space": {
                "presets": ["loss_weights"],
                "parameters": {"training.lr": {"float": [0.0001, 0.1], "log": True}},
            },
        },
        resources={"concurrent": 1},
        checkpoint={"max_checkpoints": 2},
    )
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def start(file: Path, study: Path, *settings: str, kill_at: str = "") -> subprocess.Popen[str]:
    """Start `segtune run`; `kill_at` is for `killed_driver.py`."""
    script = [str(Path(__file__).parent / "killed_driver.py"), kill_at] if kill_at else ["-m", "tuning"]
    command = [sys.executable, *script, "run", str(file), "--dir", str(study)]
    command += [part for setting in settings for part in ("-s", setting)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": ""}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a run to end well; returns what it printed."""
    output, _ = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 0, output
    return output


def kill_all(process: subprocess.Popen[str]) -> None:
    """kill -9 the driver and every process that it started, Ray's daemons and workers among them."""
    family = [process.pid, *descendants(process.pid)]
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate(timeout=_PATIENCE_S)


def descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def wait_for_epochs(process: subprocess.Popen[str], study: Path, epochs: int) -> None:
    """Wait until the journal holds so many epochs, or the run has ended."""
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        if (study / "journal.log").exists():
            entries = open_journal(StudyDirectory(study)).trials()
            if sum(len(entry.dice) for entry in entries) >= epochs:
                return
        time.sleep(0.02)
    assert process.poll() is not None, f"{epochs} epochs were not reached"


def outcome(study: Path) -> dict[int, dict[str, Any]]:
    """Everything that a resumed study must have in common with an uninterrupted one, by trial."""
    directory = StudyDirectory(study)
    found: dict[int, dict[str, Any]] = {}
    for entry in open_journal(directory).trials():
        assert entry.number not in found
        trial = directory.trial(entry.number)
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in trial.epochs().values()]
        checkpoints = {}
        for line in trial.checkpoints():
            manifest = json.loads((study / line["path"] / "manifest.json").read_text())
            checkpoints[line["epoch"]] = (
                line["dice"],
                {name: facts["sha256"] for name, facts in manifest["files"].items()},
            )
        found[entry.number] = {
            "state": entry.state,
            "cause": entry.cause,
            "overrides": entry.overrides,
            "dice": entry.dice,
            "rows": rows,
            "cases": trial.case_scores(),
            "checkpoints": checkpoints,
        }
    return found


def assert_tune_agrees(study: Path) -> None:
    """What Ray Tune calls best in an attempt is the index's best of it, unless an older attempt has a better one."""
    directory = StudyDirectory(study)
    names = {trial_name(entry.number): entry.number for entry in open_journal(directory).trials()}
    last = max((study / "attempts").iterdir())
    compared = 0
    for name, path in tunes_best(last).items():
        lines = directory.trial(names[name]).checkpoints()
        best = max(lines, key=lambda line: (line["dice"], line["epoch"]))
        if (study / best["path"]).is_relative_to(last):
            assert str(study / best["path"]) == path
            compared += 1
        else:
            assert best == directory.trial(names[name]).best_checkpoint()
    assert compared


def assert_no_orphans(study: Path) -> None:
    """Every trial folder belongs to a trial, every checkpoint folder to an index, every process is gone."""
    directory = StudyDirectory(study)
    numbers = [entry.number for entry in open_journal(directory).trials()]
    assert {path.name for path in (study / "trials").iterdir()} == {trial_name(number) for number in numbers}
    indexed = {study / line["path"] for number in numbers for line in directory.trial(number).checkpoints()}
    assert set(study.glob("attempts/*/*/checkpoint_*")) == indexed
