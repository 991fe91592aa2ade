"""One trial on Ray Tune: a thin adapter from sampled settings over the components to `tune.report`."""

import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune
from torch import nn

from components.checkpoints import CheckpointManager, CheckpointRecord, verify_checkpoint
from components.data import SegmentationData, training_batches
from components.losses import CombinedLoss, LossManager
from components.training import build_lr_schedule, build_optimizer, evaluate, seed_everything, train_epoch
from tuning.config import StudyConfig
from tuning.dotted import import_object
from tuning.output import captured_output
from tuning.scheduler import OBJECTIVE
from tuning.store import TuneStore

_SEED_OFFSET = 1000  # baselines have negative numbers, seeds may not be


@dataclass(frozen=True)
class Shared:
    """What all trials of a study share: held once in Ray's object store and read without a copy."""

    study: StudyConfig
    data: SegmentationData
    root: str


def run_trial(config: dict[str, Any], shared: Shared) -> None:
    """Train one trial and report each epoch to Ray Tune.

    An error of the trial's own (its code, its settings, a loss that is NaN) is reported as a failure; the worker lives
    on for the next trial. Ray sees an error only when the worker itself dies.

    Args:
        config: `number`, `overrides` by dotted path, and `checkpoints` (index lines of earlier attempts).
        shared: study and data.
    """
    staging = Path(tune.get_context().get_trial_dir()) / "staging"
    with captured_output() as output:
        try:
            records = [verify_checkpoint(Path(shared.root) / line["path"]) for line in config["checkpoints"]]
            store = TuneStore(staging, records)
            for row in TrialTraining(config, shared, store).epochs():
                objective = {"row": row, "epoch": row["epoch"], OBJECTIVE: row[OBJECTIVE], "log": output.take()}
                _report(objective, store.staged)
                store.discard()
        except Exception as error:  # noqa: BLE001 - whatever the trial raises is its result
            traceback.print_exc(file=output)
            failure = f"{type(error).__name__}: {error}"
            tune.report({"failure": failure, "epoch": 0, OBJECTIVE: float("nan"), "log": output.take()})


class TrialTraining:
    """The parts of one training run, built from a trial's settings, and its loop over epochs.

    Args:
        config: as of `run_trial`.
        shared: study and data.
        store: stages checkpoints, and knows those of earlier attempts.
    """

    def __init__(self, config: dict[str, Any], shared: Shared, store: TuneStore) -> None:
        settings = shared.study.with_overrides(config["overrides"])
        training = settings.training
        self._settings, self._training, self._data, self._store = settings, training, shared.data, store
        self._seed = config["number"] + _SEED_OFFSET if training.seed == "per_trial" else training.seed
        torch.set_num_threads(settings.resources.cpus_per_trial)
        seed_everything(self._seed)
        self._model = _build_model(settings, shared.data)
        self._optimizer = build_optimizer(
            training.optimizer,
            self._model.parameters(),
            lr=training.lr,
            weight_decay=training.weight_decay,
            momentum=training.momentum,
        )
        self._lr_schedule = build_lr_schedule(training.lr_schedule, self._optimizer, epochs=training.epochs)
        self._loss = build_loss(settings, shared.data.mode)
        self._loss_schedule = LossManager.create_loss_scheduler(
            self._loss, settings.loss.schedule, epochs=training.epochs
        )
        self._checkpoints = CheckpointManager(
            model_name=settings.name,
            save_strategy=settings.checkpoint.strategy,
            monitor_metric=OBJECTIVE,
            max_checkpoints=settings.checkpoint.keep,
            interval_epochs=settings.checkpoint.interval,
            store=store,
            durable=False,  # Ray Tune copies what is staged, and its copy is what counts
        )

    def epochs(self) -> Iterator[dict[str, Any]]:
        """Train from the last checkpoint on; after each epoch its row, with the checkpoint staged if one was saved."""
        for epoch in range(self._resume() + 1, self._training.epochs + 1):
            started = time.perf_counter()
            row = self._train(epoch)
            self._loss_schedule.step(epoch, row)
            row["seconds"] = time.perf_counter() - started
            self._checkpoints.save_checkpoint(
                self._model, self._optimizer, self._lr_schedule, epoch, row, loss_schedule=self._loss_schedule
            )
            yield row

    def _resume(self) -> int:
        """Go back to the last checkpoint; returns its epoch, 0 when there is none."""
        if not self._store.records():
            return 0
        record = self._checkpoints.load_checkpoint(
            "latest", self._model, self._optimizer, self._lr_schedule, loss_schedule=self._loss_schedule, rng=True
        )
        print(f"going on after epoch {record.epoch} from {record.path}")  # noqa: T201 - into the trial's log
        return record.epoch

    def _train(self, epoch: int) -> dict[str, Any]:
        training, data = self._training, self._data
        weights, lr = self._loss.weights, self._optimizer.param_groups[0]["lr"]
        batches = training_batches(
            data.train, size=training.batch, seed=self._seed, epoch=epoch, augment=training.augment
        )
        trained = train_epoch(
            self._model, self._loss, self._optimizer, batches, epoch=epoch, precision=training.precision
        )
        self._lr_schedule.step()
        scores = evaluate(self._model, data.val, mode=data.mode, batch=training.batch, precision=training.precision)
        return {
            "epoch": epoch,
            OBJECTIVE: scores.mean,
            **{f"{OBJECTIVE}_{name}": value for name, value in zip(data.foreground, scores.per_class, strict=True)},
            "val_undefined": scores.undefined,
            **trained,
            **{f"weight_{name}": value for name, value in weights.items()},
            "lr": lr,
        }


def _build_model(settings: StudyConfig, data: SegmentationData) -> nn.Module:
    build = import_object(settings.model.build, "model.build")
    model: nn.Module = build(
        in_channels=data.in_channels,
        out_channels=len(data.classes),
        spatial_dims=data.spatial_dims,
        **settings.model.arguments,
    )
    return model.to("cuda" if settings.resources.gpus_per_trial else "cpu")


def build_loss(settings: StudyConfig, mode: str) -> CombinedLoss:
    """The combined loss of a trial's settings.

    Raises:
        InvalidInputError: a term, an option or a weight does not fit.
    """
    weights = settings.loss.weights or {"dice": 0.5, "ce" if mode == "multiclass" else "bce": 0.5}
    terms = {name: settings.loss.terms.get(name, {}) for name in {**weights, **settings.loss.terms}}
    loss = LossManager.create_loss_function({"type": "combined", "mode": mode, "terms": terms, "weights": weights})
    return loss.to("cuda" if settings.resources.gpus_per_trial else "cpu")


def _report(result: dict[str, Any], checkpoint: CheckpointRecord | None) -> None:
    if checkpoint is None:
        tune.report(result)
        return
    facts = {
        "checkpoint_dice": checkpoint.metrics[OBJECTIVE],
        "checkpoint_sha256": checkpoint.manifest_sha256,
        "checkpoint_bytes": checkpoint.bytes,
    }
    tune.report(result | facts, checkpoint=tune.Checkpoint.from_directory(str(checkpoint.path)))
