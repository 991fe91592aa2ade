"""What a second trial at the same time costs in memory, beside a process that trains the same network alone.

    PYTHONPATH=. python benchmarks/memory.py [--mib 400]

A study whose data are so many MiB large runs one trial, then two at a time. The memory of its workers is their
proportional set size, in which what several share counts once; the largest sum at the ends of epochs is taken. `alone`
is a fresh process that trains and validates the network on a batch of each, without data. A second trial that held the
data again would cost that much more than `alone`.
"""

import argparse
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.data import SegmentationData, Split
from components.losses import LossManager
from components.training import build_optimizer, evaluate, small_unet, train_epoch
from tuning import Study, StudyConfig
from tuning.listener import Listener

SIZE, BATCH, CROP = 512, 4, 256
_MIB = 1 << 20
_WORKER = "ray::"  # begins the command line of a process that runs a trial


def large_data(mib: int) -> SegmentationData:
    """Images of so many MiB, with masks that tell where they are bright."""
    random = np.random.default_rng(0)
    count = mib * _MIB // (SIZE * SIZE * 4)
    images = [random.standard_normal((1, SIZE, SIZE), dtype=np.float32) for _ in range(count)]
    masks = [(image > 1).astype(np.uint8) for image in images]
    names = [f"case{number}" for number in range(count)]

    def split(first: int, last: int) -> Split:
        return Split(images[first:last], masks[first:last], tuple(names[first:last]), tuple(names[first:last]))

    return SegmentationData(
        name="large",
        mode="binary",
        classes=("bright",),
        train=split(0, count - 4),
        val=split(count - 4, count - 2),
        test=split(count - 2, count),
    )


def shared_size(process: Path) -> float:
    """MiB of a process, what it shares divided by how many share it."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def workers() -> list[Path]:
    """Processes that run trials."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_text()
        except OSError:
            continue
        if name.startswith(_WORKER) and "ImplicitFunc" in name and is_ours(process):
            found.append(process)
    return found


def is_ours(process: Path) -> bool:
    """Whether this process started it, or one that did."""
    number = process.name
    while number not in ("0", str(os.getpid())):
        try:
            fields = (Path("/proc") / number / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        number = fields[1]  # the parent's
    return number != "0"


class Largest(Listener):
    """Largest sum over the workers at the ends of epochs."""

    mib = 0.0

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """Measure."""
        del number, row
        self.mib = max(self.mib, sum(map(shared_size, workers())))


def of_study(mib: int, concurrent: int) -> float:
    """MiB of the workers of a study with so many trials at a time."""
    config = {
        "name": "memory",
        "data": {"build": "benchmarks.memory:large_data", "arguments": {"mib": mib}},
        "training": {"epochs": 2, "batch": BATCH, "crop": CROP, "precision": "fp32"},
        "search": {"trials": concurrent, "baselines": False},
        "scheduler": {"type": "none"},
        "resources": {"concurrent": concurrent},
    }
    largest = Largest()
    with tempfile.TemporaryDirectory() as folder:
        Study(StudyConfig.load(config), Path(folder) / "study").run(largest)
    return largest.mib


def train_alone(result: Any) -> None:
    """Train and validate the study's network on a batch of each, and say how large the process has become."""
    torch.set_num_threads(1)
    model = small_unet(1, 1)
    optimizer = build_optimizer("adamw", model.parameters(), lr=1e-3, weight_decay=0.0)
    batch = (torch.randn(BATCH, 1, CROP, CROP), torch.ones(BATCH, 1, CROP, CROP))
    train_epoch(model, LossManager.create_loss_function(), optimizer, [batch] * 3, epoch=1)
    images = [np.zeros((1, SIZE, SIZE), np.float32)] * BATCH
    names = tuple(map(str, range(BATCH)))
    split = Split(images, [np.ones((1, SIZE, SIZE), np.uint8)] * BATCH, names, names)
    evaluate(model, split, mode="binary", batch=BATCH)
    result.send(shared_size(Path("/proc/self")))


def alone() -> float:
    """MiB of a process that trains without data."""
    context = multiprocessing.get_context("spawn")
    heard, said = context.Pipe(duplex=False)
    process = context.Process(target=train_alone, args=(said,))
    process.start()
    found = float(heard.recv())
    process.join()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=400)
    options = parser.parse_args()
    own = alone()
    one, two = (of_study(options.mib, concurrent) for concurrent in (1, 2))
    print("| workers, MiB | |\n|---|---|")
    print(f"| data | {options.mib} |\n| alone, without data | {own:.0f} |")
    print(f"| one trial | {one:.0f} |\n| two at a time | {two:.0f} |")
    print(f"| the second beyond the first | {two - one:.0f} |\n| ratio to alone | {(two - one) / own:.2f} (goal 1.1) |")


if __name__ == "__main__":
    main()
