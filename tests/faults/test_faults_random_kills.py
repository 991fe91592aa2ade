"""Fifty kills of the driver and twenty of workers, at random moments of small studies: none lost, none doubled."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults import killing

pytestmark = [pytest.mark.timeout(1500), pytest.mark.faults]
UNDECIDED = ("search.sampler=random", "scheduler.type=none")
LONGEST_S = 9.0  # from the start of a run to its kill: Ray's start, and some trials


@pytest.mark.parametrize("seed", range(5))
def test_ten_kills_of_the_driver_change_nothing(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]], seed: int
) -> None:
    """Where a run ends before its kill, its study is done, and what is left of the ten falls to a new one."""
    moment, killed, studies = random.Random(seed), 0, [tmp_path / "study-0"]
    while killed < 10:
        process = killing.start(file, studies[-1])
        try:
            process.wait(moment.uniform(0.5, LONGEST_S))
        except subprocess.TimeoutExpired:
            killing.kill_all(process)
            killed += 1
        else:
            process.communicate()
            studies.append(tmp_path / f"study-{len(studies)}")
    for study in studies:
        killing.finish(killing.start(file, study))
        assert killing.outcome(study) == uninterrupted
        killing.assert_tune_agrees(study)
        killing.assert_no_orphans(study)


def workers(process: subprocess.Popen[str]) -> list[int]:
    found = []
    for pid in killing.descendants(process.pid):
        try:
            if b"ray::ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def undecided(file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What a study comes to whose draws and stops depend on no result."""
    study = tmp_path_factory.mktemp("undecided") / "study"
    killing.finish(killing.start(file, study, *UNDECIDED))
    return killing.outcome(study)


@pytest.mark.parametrize("seed", range(2))
def test_ten_kills_of_workers_change_nothing(
    file: Path, tmp_path: Path, undecided: dict[int, dict[str, Any]], seed: int
) -> None:
    """A trial whose worker died goes on after the others, so that ASHA and TPE would know more: here nobody decides."""
    moment, killed = random.Random(seed), 0
    process = killing.start(file, tmp_path / "study", "resources.retries=20", *UNDECIDED)
    while killed < 10 and process.poll() is None:
        time.sleep(moment.uniform(0.3, 1.5))
        for pid in workers(process)[:1]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
    killing.finish(process)
    assert killed == 10
    assert killing.outcome(tmp_path / "study") == undecided
    killing.assert_no_orphans(tmp_path / "study")
