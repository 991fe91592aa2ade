"""kill -9 while checkpoints are saved and pruned, again and again in one directory."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from tests.faults import killed_saves

_SCRIPT = Path(killed_saves.__file__)
_ROOT = _SCRIPT.parent.parent.parent
_LONGEST_S = 0.12  # time for the start and a dozen saves
_KILLS_SAMPLED, _KILLS = 3, 100
URL = "through_a_url"  # what a killed upload leaves stays for a day, and does not count


class Killer:
    """Has processes saved and killed by the script, which imports torch once for all of them."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def kill(self, folder: Path, way: str, saves: int, seconds: float) -> list[int]:
        """Epochs that the killed process had said were saved."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder} {way} {saves} {seconds}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer.endswith("\n"), "the script has died"
        return [int(word) for word in answer.split()]


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(
        [sys.executable, str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def to_keep(epochs: int) -> set[int]:
    """What the policy keeps of epochs 1 to `epochs`."""
    ranked = sorted(range(1, epochs + 1), key=lambda epoch: (killed_saves.score(epoch), epoch), reverse=True)
    return {*ranked[: killed_saves.KEPT], epochs} if epochs else set()


def check(folder: Path, way: str, durable: int) -> int:
    """Nothing durable is lost and nothing half counts; returns the last epoch."""
    manager = killed_saves.open_manager(folder, way)
    found = {record.epoch for record in manager.list_checkpoints()}
    last = max(found, default=0)
    assert last in (durable, durable + 1)
    assert to_keep(durable) & to_keep(last) <= found
    assert way == URL or not list(folder.glob(".[td]*")), "leftovers, or a half checkpoint that had to be set aside"
    for epoch in found:
        model = nn.Linear(64, 64)
        manager.load_checkpoint(epoch, model)
        assert bool((model.weight.detach() == epoch).all())
    assert len(list(folder.glob(".user-*"))) <= 1, "those of the killed ones are gone"
    if last:
        best = max(range(1, last + 1), key=lambda epoch: (killed_saves.score(epoch), epoch))
        assert manager.load_checkpoint("best").epoch == best
    return last


def kill_again_and_again(killer: Killer, folder: Path, way: str, kills: int, seed: int) -> None:
    moments, last = random.Random(seed), 0
    for kill in range(kills):
        saves = kill % 2  # each second one may come while the directory is opened and cleared
        said = killer.kill(folder, way, saves, moments.uniform(0, _LONGEST_S))
        assert said == list(range(last + 1, last + 1 + len(said)))
        folder.mkdir(exist_ok=True)  # killed before it was made
        last = check(folder, way, last + len(said))
    assert last >= kills // 2


WAYS = ["in_the_loop", "in_the_background", URL]
_FAULT = "kill -9 at a random moment of saving and pruning, then going on in the same directory"
_OUTCOME = "what had returned and is not pruned by policy is there and verifies; nothing half counts"


@pytest.mark.fault(fault=_FAULT, outcome=_OUTCOME, cases=_KILLS_SAMPLED)
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_while_saving_loses_nothing_that_was_durable(killer: Killer, tmp_path: Path, way: str) -> None:
    kill_again_and_again(killer, tmp_path / "run", way, _KILLS_SAMPLED, seed=1)


@pytest.mark.faults
@pytest.mark.fault(fault=_FAULT, outcome=_OUTCOME, cases=_KILLS)
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_many_moments_of_saving_loses_nothing_that_was_durable(
    killer: Killer, tmp_path: Path, way: str
) -> None:
    kill_again_and_again(killer, tmp_path / "run", way, _KILLS, seed=2)
