"""kill -9 of a study that runs a script: the same numbers as without, and no script is left running."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults import killing

pytestmark = [pytest.mark.timeout(600), pytest.mark.faults]

SCRIPT = """
import time
import torch
from torch import nn
from components.training import seed_everything
from tuning import session

params = {"lr": 0.1} | session.params
seed_everything(0)
net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=params["lr"])
for epoch in range(session.checkpoint(net, optimizer=optimizer) + 1, 7):
    loss = (net(torch.randn(16, 4)) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    time.sleep(0.1)
    session.report(val_dice=1 / (1 + loss), epoch=epoch)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("script")
    (folder / "own.py").write_text(SCRIPT)
    settings = {
        "name": "small",
        "script": {"path": "own.py"},
        "training": {"epochs": 6},
        "checkpoint": {"max_checkpoints": 2},
        "search": {"trials": 2, "space": {"parameters": {"script.params.lr": {"float": [0.001, 0.2], "log": True}}}},
        "scheduler": {"grace": 2, "reduction": 2},
        "resources": {"concurrent": 1},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(settings))
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def uninterrupted(file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    study = tmp_path_factory.mktemp("whole") / "study"
    killing.finish(killing.start(file, study))
    return killing.outcome(study)


def scripts(file: Path) -> list[int]:
    """Processes of the study's script."""
    found, path = [], str(file.with_name("own.py")).encode()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path in line.read_bytes():
                found.append(int(line.parent.name))
        except OSError:
            continue
    return found


def wait_for(file: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 30
    while len(found := scripts(file)) != count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(found) == count
    return found


def finish_and_compare(file: Path, study: Path, uninterrupted: dict[int, dict[str, Any]]) -> None:
    killing.finish(killing.start(file, study))
    assert killing.outcome(study) == uninterrupted
    killing.assert_no_orphans(study)
    wait_for(file, 0)


def test_a_killed_driver_takes_its_script_along_and_the_next_run_ends_as_the_uninterrupted_one(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]]
) -> None:
    process = killing.start(file, tmp_path / "study")
    killing.wait_for_epochs(process, tmp_path / "study", 9)
    family = [pid for pid in killing.descendants(process.pid) if pid not in scripts(file)]
    for pid in [process.pid, *family]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    wait_for(file, 0)
    finish_and_compare(file, tmp_path / "study", uninterrupted)


@pytest.mark.parametrize("epochs", [1, 4, 7])
def test_a_killed_worker_takes_its_script_along_and_its_trial_goes_on(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]], epochs: int
) -> None:
    """The trial goes on after the others, so that ASHA may decide otherwise; what was trained is the same."""
    process = killing.start(file, tmp_path / "study")
    killing.wait_for_epochs(process, tmp_path / "study", epochs)
    (script,) = wait_for(file, 1)
    worker = int(Path(f"/proc/{script}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(worker, signal.SIGKILL)
    killing.finish(process)
    outcome = killing.outcome(tmp_path / "study")
    assert list(outcome) == list(uninterrupted)
    for number, trial in outcome.items():
        shared = min(len(trial["rows"]), len(uninterrupted[number]["rows"]))
        assert trial["state"] in ("complete", "pruned")
        assert trial["rows"][:shared] == uninterrupted[number]["rows"][:shared]
    wait_for(file, 0)
