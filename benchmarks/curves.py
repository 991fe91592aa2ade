"""Records the learning curves that benchmarks/search.py replays: many settings of a small real task, each to its end.

The task is the nuclei of the Data Science Bowl 2018, cut to a few small crops, so that an epoch takes a fraction of a
second. Settings are drawn at random, none is stopped early, and each row of the table is one epoch.

    python benchmarks/curves.py FOLDER_OF_NUCLEI --study DIR [--trials 160] [--out benchmarks/curves.csv.gz]

The study directory can be given again after an interruption: the recording then goes on.
"""

import argparse
import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np

from components.data import SegmentationData, Split

EPOCHS = 12
SPACE: dict[str, Any] = {
    "presets": ["loss_weights"],
    "parameters": {
        "training.optimizer": {"choice": ["adamw", "sgd"]},
        "training.lr": {"float": [1e-4, 1e-1], "log": True},
        "training.weight_decay": {"float": [1e-6, 1e-2], "log": True},
        "training.momentum": {"float": [0.0, 0.99], "when": {"training.optimizer": "sgd"}},
    },
}


def main() -> None:
    """Run the study and write its table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("nuclei", type=Path)
    arguments.add_argument("--study", type=Path, required=True)
    arguments.add_argument("--trials", type=int, default=160)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_name("curves.csv.gz"))
    chosen = arguments.parse_args()
    write_table(record(chosen.nuclei, chosen.study, chosen.trials), chosen.out)


def small_nuclei(root: str, train: int = 32, val: int = 16, size: int = 64) -> SegmentationData:
    """The middle of the first cases of each split, as binary segmentation."""
    from tuning.config import DataConfig
    from tuning.data import load_data

    data = load_data(DataConfig(root=root, classes=["nucleus"], normalize="percentile"))[0]
    return SegmentationData(
        name="small_nuclei",
        mode=data.mode,
        classes=data.classes,
        train=_cut(data.train, train, size),
        val=_cut(data.val, val, size),
        test=_cut(data.test, 1, size),
    )


def record(nuclei: Path, directory: Path, trials: int) -> list[dict[str, Any]]:
    """Train every setting to its end; returns one row an epoch: trial, epoch, Dice, then the drawn values."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    from tuning import Study, StudyConfig

    config = StudyConfig.load(
        {
            "name": "curves",
            "data": {"build": "benchmarks.curves:small_nuclei", "arguments": {"root": str(nuclei.absolute())}},
            "model": {"arguments": {"channels": [8, 16, 32]}},
            "training": {"epochs": EPOCHS, "batch": 8},
            "metrics": {"surface": False},
            "search": {"trials": trials, "sampler": "random", "baselines": False, "space": SPACE},
            "scheduler": {"type": "none"},
            "resources": {"concurrent": 1},
        }
    )
    Study(config, directory).run()
    storage = optuna.storages.JournalStorage(JournalFileBackend(str((directory / "journal.log").absolute())))
    study = optuna.load_study(study_name="curves", storage=storage)
    return [
        {"trial": trial.number, "epoch": epoch, "dice": round(dice, 6), **trial.params}
        for trial in study.trials
        if len(trial.intermediate_values) == EPOCHS
        for epoch, dice in sorted(trial.intermediate_values.items())
    ]


def write_table(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the rows as a compressed table; a value that a setting does not have stays empty."""
    names = dict.fromkeys(name for row in rows for name in row)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)


def _cut(split: Split, cases: int, size: int) -> Split:
    chosen = [
        i
        for i, image in enumerate(split.images)
        if min(image.shape[1:]) >= size and _middle(split.masks[i], size).any()
    ]
    chosen = chosen[:cases]
    return Split(
        [np.ascontiguousarray(_middle(split.images[i], size)) for i in chosen],
        [np.ascontiguousarray(_middle(split.masks[i], size)) for i in chosen],
        tuple(split.cases[i] for i in chosen),
        tuple(split.groups[i] for i in chosen),
    )


def _middle(array: Any, size: int) -> Any:
    top, left = ((length - size) // 2 for length in array.shape[-2:])
    return array[..., top : top + size, left : left + size]


if __name__ == "__main__":
    main()
