"""One trial on Ray Tune: a thin adapter from sampled settings over the components to `tune.report`."""

import json
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ray import tune

from components.checkpoints import CheckpointRecord, verify_checkpoint
from components.training.memory import memory_hint
from tuning.config import StudyConfig
from tuning.data import Folds
from tuning.fold import FoldTraining
from tuning.objective import OBJECTIVE, dice_of_weights
from tuning.output import captured_output
from tuning.record import trial_name
from tuning.store import TuneStore, staging_folder


@dataclass(frozen=True)
class Shared:
    """What all trials of a study share: held once in Ray's object store and read without a copy."""

    study: StudyConfig
    folds: Folds
    root: str


def run_trial(config: dict[str, Any], shared: Shared) -> None:
    """Train one trial and report each epoch to Ray Tune.

    An error of the trial's own (its code, its settings, a loss that is NaN) is reported as a failure; the worker lives
    on for the next trial. Ray sees an error only when the worker itself dies.

    Args:
        config: `number`, `overrides` by dotted path, and `checkpoints` (index lines of earlier attempts).
        shared: study and data.
    """
    with captured_output() as output, staging_folder(shared.root) as staging:
        try:
            records = [verify_checkpoint(Path(shared.root) / line["path"]) for line in config["checkpoints"]]
            trial = trial_name(config["number"])
            store = TuneStore(staging, records, lambda: Path(shared.root).glob(f"attempts/*/{trial}/checkpoint_*"))
            for row, ended, cases in trial_epochs(config, shared, store):
                decisions = [json.loads(decision.to_line()) for decision in store.take_decisions()]
                facts = {"row": row, "epoch": row["epoch"], "decisions": decisions, "log": output.take()}
                facts |= ({"ended": ended} if ended else {}) | ({"cases": cases} if cases else {})
                _report({OBJECTIVE: row[OBJECTIVE], **facts}, store.staged)
                store.discard()
        except Exception as error:  # noqa: BLE001 - whatever the trial raises is its result
            traceback.print_exc(file=output)
            failure = f"{type(error).__name__}: {error} {memory_hint(error)}".rstrip()
            tune.report({"failure": failure, "epoch": 0, OBJECTIVE: float("nan"), "log": output.take()})


class Epoch(NamedTuple):
    """An epoch of a trial: its row, why the trial has ended if it has, and each case's scores if it is the best."""

    row: dict[str, Any]
    ended: str
    cases: list[dict[str, Any]]


def trial_epochs(config: dict[str, Any], shared: Shared, store: TuneStore) -> Iterator[Epoch]:
    """Train fold after fold from the last checkpoint on.

    Yields:
        each epoch, its checkpoint staged if one was saved.
    """
    settings = shared.study.with_overrides(config["overrides"])
    torch.set_num_threads(settings.resources.cpus_per_trial)
    last = max((record.epoch for record in store.records()), default=0)
    first = max(last - 1, 0) // settings.training.epochs
    bests: list[float] = []
    for number in range(first, len(shared.folds)):
        fold = FoldTraining(settings, shared.folds[number], store, number=number, trial=config["number"])
        is_last = number + 1 == len(shared.folds)
        for row in fold.epochs(bests):
            yield Epoch(row, fold.ended if is_last else "", fold.cases)


def _report(result: dict[str, Any], checkpoint: CheckpointRecord | None) -> None:
    if checkpoint is None:
        tune.report(result)
        return
    facts = {
        "checkpoint_dice": dice_of_weights(checkpoint.metrics),
        "checkpoint_sha256": checkpoint.manifest_sha256,
        "checkpoint_bytes": checkpoint.bytes,
    }
    tune.report(result | facts, checkpoint=tune.Checkpoint.from_directory(str(checkpoint.path)))
