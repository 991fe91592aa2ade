"""Ray's own words, on a cluster of two nodes of which one is taken away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.faults
@pytest.mark.timeout(120)
def test_a_lost_node_is_told_apart_from_a_lost_worker(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": ""}
    command = [sys.executable, str(Path(__file__).parent / "lost_node.py"), str(tmp_path / "kinds")]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "kinds").read_text() == "lost worker, lost node"
