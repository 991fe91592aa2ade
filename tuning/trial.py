"""One trial on Ray Tune: a thin adapter from sampled settings over the components to `tune.report`."""

import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune

from components.checkpoints import CheckpointManager, CheckpointRecord, verify_checkpoint
from components.data import SegmentationData, training_batches
from components.losses import LossManager
from components.training import build_lr_schedule, build_optimizer, evaluate, seed_everything, train_epoch
from tuning.config import StudyConfig
from tuning.dotted import import_object
from tuning.output import captured_output
from tuning.scheduler import OBJECTIVE
from tuning.store import TuneStore


@dataclass(frozen=True)
class Shared:
    """What all trials of a study share: held once in Ray's object store and read without a copy."""

    study: StudyConfig
    data: SegmentationData
    root: str


@dataclass(frozen=True)
class Epoch:
    """Row of an epoch, and the checkpoint if one was saved."""

    row: dict[str, Any]
    checkpoint: CheckpointRecord | None


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
            store = TuneStore(staging, [_indexed(line, shared.root) for line in config["checkpoints"]])
            for epoch in train_trial(config, shared, store):
                report = {"row": epoch.row, "epoch": epoch.row["epoch"], OBJECTIVE: epoch.row[OBJECTIVE]}
                _report(report | {"log": output.take()}, epoch.checkpoint)
                store.discard()
        except Exception as error:  # noqa: BLE001 - whatever the trial raises is its result
            traceback.print_exc(file=output)
            failure = f"{type(error).__name__}: {error}"
            tune.report({"failure": failure, "epoch": 0, OBJECTIVE: float("nan"), "log": output.take()})


def train_trial(config: dict[str, Any], shared: Shared, store: TuneStore) -> Iterator[Epoch]:
    """Build the trial's parts from its settings and train, epoch by epoch, from its last checkpoint on."""
    settings = shared.study.with_overrides(config["overrides"])
    training, mode = settings.training, shared.data.mode
    number = config["number"]
    seed = max(number, 0) if training.seed == "per_trial" else training.seed
    torch.set_num_threads(settings.resources.cpus_per_trial)
    seed_everything(seed)

    device = torch.device("cuda" if settings.resources.gpus_per_trial else "cpu")
    model = _build_model(settings, shared.data).to(device)
    optimizer = build_optimizer(
        training.optimizer,
        model.parameters(),
        lr=training.lr,
        weight_decay=training.weight_decay,
        momentum=training.momentum,
    )
    lr_schedule = build_lr_schedule(training.lr_schedule, optimizer, epochs=training.epochs)
    loss = LossManager.create_loss_function(_loss_settings(settings, mode)).to(device)
    loss_schedule = LossManager.create_loss_scheduler(loss, {"epochs": training.epochs, **settings.loss.schedule})
    checkpoints = CheckpointManager(
        model_name=settings.name,
        save_strategy=settings.checkpoint.strategy,
        monitor_metric=OBJECTIVE,
        max_checkpoints=settings.checkpoint.keep,
        interval_epochs=settings.checkpoint.interval,
        store=store,
    )
    done = 0
    if config["checkpoints"]:
        record = checkpoints.load_checkpoint(
            "latest", model, optimizer, lr_schedule, loss_schedule=loss_schedule, rng=True
        )
        loss.weights = record.metadata["loss_weights"]
        done = record.epoch
        print(f"going on after epoch {done} from {record.path}")  # noqa: T201 - into the trial's log

    for epoch in range(done + 1, training.epochs + 1):
        started = time.perf_counter()
        weights, lr = loss.weights, optimizer.param_groups[0]["lr"]
        batches = training_batches(
            shared.data.train, size=training.batch, seed=seed, epoch=epoch, augment=training.augment
        )
        trained = train_epoch(model, loss, optimizer, batches, epoch=epoch, precision=training.precision)
        lr_schedule.step()
        scores = evaluate(model, shared.data.val, mode=mode, batch=training.batch, precision=training.precision)
        row = {
            "epoch": epoch,
            OBJECTIVE: scores.mean,
            **{
                f"{OBJECTIVE}_{name}": value
                for name, value in zip(shared.data.foreground, scores.per_class, strict=True)
            },
            "val_undefined": scores.undefined,
            **trained,
            **{f"weight_{name}": value for name, value in weights.items()},
            "lr": lr,
        }
        loss_schedule.step(epoch, row)
        row["seconds"] = time.perf_counter() - started
        saved = checkpoints.save_checkpoint(
            model,
            optimizer,
            lr_schedule,
            epoch,
            row,
            loss_schedule=loss_schedule,
            metadata={"loss_weights": loss.weights},
        )
        yield Epoch(row, store.staged if saved else None)


def _build_model(settings: StudyConfig, data: SegmentationData) -> torch.nn.Module:
    build = import_object(settings.model.build, "model.build")
    model: torch.nn.Module = build(
        in_channels=data.in_channels,
        out_channels=len(data.classes),
        spatial_dims=data.spatial_dims,
        **settings.model.arguments,
    )
    return model


def _loss_settings(settings: StudyConfig, mode: str) -> dict[str, Any]:
    weights = settings.loss.weights or {"dice": 0.5, "ce" if mode == "multiclass" else "bce": 0.5}
    terms = {name: settings.loss.terms.get(name, {}) for name in {**weights, **settings.loss.terms}}
    return {"type": "combined", "mode": mode, "terms": terms, "weights": weights}


def _indexed(line: dict[str, Any], root: str) -> CheckpointRecord:
    return verify_checkpoint(Path(root) / line["path"])


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
