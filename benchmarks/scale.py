"""Does a study stay quick as it grows? Thousands of trivial trials of 5 reports, then a resume of the whole.

Random sampler, 2 at a time, nothing trained, so that driver and record are all that is measured; with `--saving` each
report brings a checkpoint of two weights.

    PYTHONPATH=. python benchmarks/scale.py [--trials 10000] [--saving]
"""

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from components.checkpoints import CheckpointRecord, TrainingState, write_checkpoint
from search_spaces import Baseline, Space
from tuning.config import StudyConfig
from tuning.drawing import Drawing
from tuning.engine import StopFlag, ray_running
from tuning.identity import open_directory
from tuning.listener import Listener
from tuning.record import StudyDirectory, TrialEntry
from tuning.record.journal import open_journal_exclusively
from tuning.run import StudyRun
from tuning.store import TuneStore
from tuning.task import Epoch, Wanted

_REPORTS = 5


class TrivialTask:
    """Reports a made-up Dice that hangs on what was drawn.

    Args:
        saving: whether each report brings a checkpoint.
    """

    def __init__(self, *, saving: bool) -> None:
        self.saving = saving

    def check(self, config: StudyConfig) -> Space:
        """The search space."""
        return Space.from_config(config.search.space)

    def baselines(self, wanted: Wanted = True) -> tuple[Baseline, ...]:  # noqa: FBT002
        """None."""
        return ()

    def describe(self) -> dict[str, Any]:
        """No data."""
        return {"name": "nothing", "fingerprint": "nothing", "cases": {}, "warnings": []}

    def plan(self) -> list[str]:
        """Nothing to say."""
        return []

    def notes(self, config: StudyConfig, space: Space) -> list[str]:
        """None."""
        del config, space
        return []

    def steps(self, config: StudyConfig) -> int | None:
        """A trivial task has none."""

    def keep(self, study: StudyDirectory) -> None:
        """Nothing."""

    def test_scores(self, settings: StudyConfig, checkpoint: Path, epoch: int) -> list[dict[str, Any]]:
        """None."""
        del settings, checkpoint, epoch
        return []

    def epochs(self, settings: StudyConfig, number: int, store: TuneStore) -> Iterator[Epoch]:
        """Five epochs of no work."""
        del number
        for epoch in range(1, _REPORTS + 1):
            dice = 1 - abs(settings.training.lr - 0.01) - 0.1 / epoch
            row = {"epoch": epoch, "val_dice": dice, "seconds": 0.0}
            if self.saving:
                store.save(f"epoch_{epoch}", partial(_write, row))
            yield Epoch(row, "", [])


def _write(row: dict[str, Any], folder: Path) -> CheckpointRecord:
    state = TrainingState(nn.Linear(1, 1), rng=False)
    return write_checkpoint(folder, state, epoch=row["epoch"], metrics=row, kind="best")


class Clock(Listener):
    """Notes wall time and the driver's own time at the end of each trial."""

    def __init__(self) -> None:
        self.began = 0.0
        self.ended: list[tuple[float, float]] = []

    def trial_started(self, number: int, baseline: str | None) -> None:
        """Note the first."""
        self.began = self.began or time.perf_counter()

    def trial_ended(self, entry: TrialEntry) -> None:
        """Note it."""
        self.ended.append((time.perf_counter(), time.process_time()))


def main() -> None:
    """Run the study, then resume it for one more trial, and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--trials", type=int, default=10_000)
    arguments.add_argument("--saving", action="store_true")
    chosen = arguments.parse_args()
    trials = chosen.trials
    folder = Path(tempfile.mkdtemp())
    clock = _run(folder, trials, saving=chosen.saving)
    part = max(trials // 10, 2)
    first, last = _pace(clock.ended[:part]), _pace(clock.ended[-part:])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    started = time.perf_counter()
    resumed = _run(folder, trials + 1, saving=chosen.saving)
    saved = ", each with a checkpoint" if chosen.saving else ""
    print(f"| {trials} trials of {_REPORTS} reports{saved} | first {part} | last {part} | ratio |")
    print("|---|---|---|---|")
    for name, index in (("driver, ms a trial", 1), ("wall, ms a trial", 0)):
        print(f"| {name} | {first[index]:.1f} | {last[index]:.1f} | {last[index] / first[index]:.2f} |")
    print(f"| driver's memory, MiB | | {memory:.0f} | |")
    print(f"| resume until the first new trial, s | | {resumed.began - started:.1f} | |")
    shutil.rmtree(folder)


def _pace(ended: list[tuple[float, float]]) -> tuple[float, float]:
    (wall, own), (wall_after, own_after) = ended[0], ended[-1]
    return 1000 * (wall_after - wall) / (len(ended) - 1), 1000 * (own_after - own) / (len(ended) - 1)


def _run(folder: Path, trials: int, *, saving: bool) -> Clock:
    config = StudyConfig.load(
        {
            "name": "scale",
            "data": {"build": "benchmarks.toy:tiny_data"},
            "training": {"epochs": _REPORTS},
            "search": {
                "trials": trials,
                "sampler": "random",
                "baselines": False,
                "space": {"parameters": {"training.lr": {"float": [0.001, 0.1], "log": True}}},
            },
            "scheduler": {"type": "none"},  # each trial gives all its reports
            "resources": {"concurrent": 2},
        }
    )
    task, clock, directory = TrivialTask(saving=saving), Clock(), StudyDirectory(folder / "study")
    changed = open_directory(directory, config, task.describe())
    journal = open_journal_exclusively(directory)
    drawing = Drawing.open(config.search, task.check(config), journal)
    run = StudyRun(config, directory, journal, task, drawing, (), changed, StopFlag(), clock)
    with ray_running(config.resources):
        run.attempt_until_done()
    return clock


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    main()
