"""A part of Ray, or the fork server, is killed while the driver lives: the study ends as an uninterrupted one."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.faults import killing

pytestmark = [pytest.mark.timeout(900), pytest.mark.faults]
PARTS = {"raylet": b"/raylet/raylet", "gcs": b"/gcs/gcs_server", "fork server": b"/forks/server.py"}


def find(process: subprocess.Popen[str], part: bytes) -> int:
    """The process of the study's run whose command line holds that."""
    for pid in killing.descendants(process.pid):
        if part in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError(f"no process of {part!r}")


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_loses_nothing(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]], part: str
) -> None:
    """Whether the driver ends of itself or goes on is Ray's affair; that it does not hang is ours."""
    study = tmp_path / "study"
    process = killing.start(file, study)
    killing.wait_for_epochs(process, study, 8)
    os.kill(find(process, PARTS[part]), signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    if part == "fork server":  # workers are then started as Ray does
        assert process.returncode == 0, output
    if process.returncode != 0:
        killing.finish(killing.start(file, study))
    assert killing.outcome(study) == uninterrupted
    killing.assert_no_orphans(study)
