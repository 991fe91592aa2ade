"""A long folder for temporary files keeps no study from starting, and the hint names what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tuning.socket_paths import OF_RAY, socket_root, start_hint

_SCRIPT = """
from tuning.config import ResourcesConfig
from tuning.engine import ray_running
import ray
with ray_running(ResourcesConfig(concurrent=1)):
    print(ray.get(ray.remote(lambda: "ran").remote()))
"""


def test_ray_starts_below_a_long_folder_for_temporary_files(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 115)
    long.mkdir()
    environment = os.environ | {"TMPDIR": str(long)}
    command = [sys.executable, "-c", _SCRIPT]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.stdout == "ran\n", result.stderr


def test_a_short_folder_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/var/tmp")  # noqa: S108 - only its length counts
    assert socket_root(OF_RAY) == Path("/var/tmp")  # noqa: S108 - as above


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("AF_UNIX path length cannot exceed 107 bytes: /x"), "too long for sockets; set TMPDIR"),
        (PermissionError("[Errno 13] Permission denied: '/tmp/ray'"), "cannot be written to; set TMPDIR"),
        (RuntimeError("no more room"), "or /dev/shm full?"),
    ],
)
def test_the_hint_names_the_reason(error: Exception, said: str) -> None:
    assert said in start_hint(error)
