"""The adaptive policy beside fixed intervals that write as many bytes, on recorded trainings.

    SEGTUNE_DATA=... PYTHONPATH=. python benchmarks/checkpoint_policies.py [--epochs 40] [--traces FOLDER]

Small U-Nets are trained on real images (nuclei, retinal vessels), each with a calm, another and a noisy setting; every
epoch is saved, timed and logged with the Dice of each validation image. Each log is then replayed: under the adaptive
policy with its defaults, and under every fixed interval, in epochs and in seconds. With `--traces` the logs are kept
there, and those that are there already are replayed again instead of trained.

Equal bytes: of the intervals that write at least as many bytes as the adaptive policy those with the fewest; of several
the one with the least mean regret. The interval is thus the best of dozens, chosen in hindsight, and never has less to
spend. `epoch` and `best` are shown beside it and are no such opponents: they write what they write.

Worse means: a larger regret of the kept best, at the end or on average over the run (what a kill at a random moment
leaves: best Dice seen minus best Dice on the disk). Work at risk is shown too, and there the interval has to win: of
all ways to place n saves the even one has the least mean work at risk (Jensen), and saving gains is not even. What that
costs is the column `lost %`: the share of the run that waits for saves or is expected to be trained again after
failures, one each four hours, the policy's own assumption.

Once as recorded, and once as if an epoch took sixty times as long at the same cost of a save, as with larger images.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from components.checkpoints import (
    AdaptivePolicy,
    BestPolicy,
    CheckpointManager,
    Decision,
    DecisionLog,
    EpochPolicy,
    IntervalPolicy,
    Replayed,
    SaveDecision,
    SavePolicy,
    Trace,
    TrainingState,
    read_decisions,
    replay,
    take_snapshot,
)
from components.data import SegmentationData, training_batches
from components.data.folder import open_folder, split_folder
from components.losses import LossManager
from components.training import build_optimizer, evaluate, seed_everything, small_unet, train_epoch

DATA = ("dsb2018_nuclei", "chase_db1_vessels")
SLOWER = (1, 60)
_COLUMNS = (
    "trace",
    "policy",
    "saves",
    "MiB",
    "regret, end",
    "regret, mean",
    "s at risk, mean",
    "s at risk, most",
    "waited %",
    "lost %",
)
_FINENESS = 6  # intervals in seconds for each epoch of a trace: enough that some write about the same bytes
_NOTHING = 1e-12  # of Dice: rounding


class Setting(NamedTuple):
    """What differs between two trainings on the same data."""

    name: str
    lr: float
    seed: int
    batch: int


SETTINGS = (Setting("calm", 1e-3, 0, 8), Setting("seed 1", 3e-3, 1, 8), Setting("noisy", 3e-2, 2, 2))


def record(data: SegmentationData, setting: Setting, epochs: int, path: Path) -> None:
    """Train, save every epoch, and log what it scored and what saving it cost."""
    seed_everything(setting.seed)
    model = small_unet(data.in_channels, 1)
    loss = LossManager.create_loss_function({"mode": data.mode, "terms": {"dice": {}, "bce": {}}})
    optimizer = build_optimizer("adamw", model.parameters(), lr=setting.lr, weight_decay=1e-4, momentum=0.9)
    log = DecisionLog(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        manager = CheckpointManager(folder, save_strategy="all", max_checkpoints=1)
        for epoch in range(1, epochs + 1):
            started = time.perf_counter()
            batches = training_batches(data.train, size=setting.batch, seed=setting.seed, epoch=epoch, crop=128)
            train_epoch(model, loss, optimizer, batches, epoch=epoch)
            scores = evaluate(model, data.val, mode=data.mode, batch=8)
            trained = time.perf_counter()
            take_snapshot(TrainingState(model, optimizer), epoch=epoch, metrics={}, kind="hold")
            copied = time.perf_counter()
            saved = manager.save_checkpoint(model, optimizer, epoch=epoch, metrics={"val_dice": scores.mean})
            done = time.perf_counter()
            held = SaveDecision(save=False, kind="best", reason="to time the copy", hold=True)
            log.append(Decision.of(held, epoch=epoch, seconds=copied - trained))
            cases = dict(zip(data.val.cases, np.nanmean(scores.per_case, axis=1).tolist(), strict=True))
            decision = Decision.of(
                SaveDecision(save=True, kind="all", reason="every epoch"),
                epoch=epoch,
                metric=scores.mean,
                epoch_seconds=trained - started,
                seconds=done - copied,
                persist_seconds=done - copied,
                bytes=manager.list_checkpoints()[-1].bytes,
                path=saved.name if saved else "",
                cases=cases,
            )
            log.append(decision)


def intervals(trace: Trace) -> dict[str, SavePolicy]:
    """Every interval in epochs, and in seconds from half an epoch to the whole run."""
    count, seconds = len(trace.steps), sum(step.seconds for step in trace.steps)
    by_epochs = {f"each {n} epochs": IntervalPolicy(epochs=n) for n in range(1, count + 1)}
    parts = np.linspace(1, 2 * count, _FINENESS * count).tolist()
    by_time = {f"each {seconds / part:.2f} s": IntervalPolicy(minutes=seconds / part / 60) for part in parts}
    return {**by_epochs, **by_time}


def equal_bytes(trace: Trace, budget: int) -> tuple[str, Replayed]:
    """The interval that writes at least as many bytes, but the fewest; of several the one of least mean regret."""
    results = {name: replay(trace, policy) for name, policy in intervals(trace).items()}
    affordable = {name: result for name, result in results.items() if result.bytes_written >= budget}
    name = min(affordable, key=lambda name: (affordable[name].bytes_written, affordable[name].mean_regret or 0.0))
    return name, affordable[name]


def lost_share(result: Replayed) -> float:
    """Share of the run that waits, or is expected to be trained again after a failure."""
    expected = result.mean_risk / AdaptivePolicy("val_dice").mean_time_to_failure
    return result.stall_share + expected


def compare(name: str, trace: Trace) -> list[str]:
    """Print the rows of a trace; returns where the adaptive policy is worse."""
    adaptive = replay(trace, AdaptivePolicy(trace.monitor, trace.mode))
    opponent, interval = equal_bytes(trace, adaptive.bytes_written)
    rows = {
        "adaptive": adaptive,
        opponent: interval,
        "best": replay(trace, BestPolicy(trace.monitor, trace.mode)),
        "epoch": replay(trace, EpochPolicy()),
    }
    for policy, result in rows.items():
        print(
            f"| {name} | {policy} | {len(result.epochs)} | {result.bytes_written / 2**20:.2f} | "
            f"{result.final_regret:.4f} | {result.mean_regret:.2e} | {result.mean_risk:.1f} | {result.max_risk:.1f} | "
            f"{100 * result.stall_share:.2f} | {100 * lost_share(result):.2f} |"
        )
    return _worse(name, adaptive, opponent, interval)


def _worse(name: str, adaptive: Replayed, opponent: str, interval: Replayed) -> list[str]:
    pairs: dict[str, tuple[Any, Any]] = {
        "regret at the end": (adaptive.final_regret, interval.final_regret),
        "mean regret": (adaptive.mean_regret, interval.mean_regret),
    }
    return [
        f"{name}: {what} {own:.2e}, {opponent}: {theirs:.2e}"
        for what, (own, theirs) in pairs.items()
        if own > theirs + _NOTHING
    ]


def traces(root: Path, folder: Path, epochs: int) -> dict[str, Trace]:
    """The recorded trainings by name, those that are missing trained first."""
    found = {}
    for data_name in DATA:
        for setting in SETTINGS:
            path = folder / f"{data_name}_{setting.name.replace(' ', '_')}.jsonl"
            if not path.exists():
                (data,) = split_folder(open_folder(root / data_name))
                record(data, setting, epochs, path)
            found[f"{data_name}, {setting.name}"] = Trace.from_decisions(read_decisions(path))
    return found


def report(found: dict[str, Trace], slower: Sequence[int]) -> None:
    """Print the table of each pace and where the adaptive policy is worse."""
    for factor in slower:
        pace = "as recorded" if factor == 1 else f"as if epochs took {factor} times as long"
        print(f"\n{pace}:\n")
        print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}")
        worse = [line for name, trace in found.items() for line in compare(name, trace.slower(factor))]
        print(
            f"\nworse than the interval at equal bytes: {len(worse)} of {2 * len(found)} comparisons", *worse, sep="\n"
        )


def main() -> None:
    """Record what is missing, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--traces", type=Path)
    options = parser.parse_args()
    root = os.environ.get("SEGTUNE_DATA")
    if root is None:
        parser.error("SEGTUNE_DATA is not set: it names the folder of the data sets")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        kept = options.traces or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        report(traces(Path(root), kept, options.epochs), SLOWER)


if __name__ == "__main__":
    main()
