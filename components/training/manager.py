"""One object that trains: loss, checkpoints, history and limits, in your loop or in its own."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from components.checkpoints import CheckpointRecord
from components.checkpoints.format import Stateful
from components.data import SegmentationData, StandardAugmentation, augmented, training_batches
from components.dotted import import_object
from components.errors import CheckpointNotFoundError, InvalidInputError
from components.losses import CombinedLoss, LossManager
from components.losses.deep_supervision import outputs_of
from components.training.acceleration import accelerate
from components.training.configuration import TrainingConfiguration, training_presets
from components.training.evaluation import evaluate
from components.training.history import Row, TrainingHistory
from components.training.limits import TrainingLimits
from components.training.loop import train_epoch
from components.training.optimizers import build_lr_schedule, build_optimizer
from components.training.precision import autocast, choose_precision
from components.training.running import RunningScores
from components.training.seeds import seed_everything
from components.training.setup import Config, as_configuration, build_checkpoint_manager
from components.training.stepper import Stepper

Batches = Iterable[tuple[Tensor, Tensor]]
_LIMITS = "limits"  # in a checkpoint's metadata


class TrainingManager:
    """Trains a network by a configuration: in your own loop by single steps, or with `fit`.

    Args:
        model_dir: folder of checkpoints, history and TensorBoard files.
        model_name: begins the name of each checkpoint.
        config: sections `training`, `loss` and `checkpoint` (see `TrainingConfiguration.from_mapping`), or the name of
            a ready-made one under `preset`.
        tensorboard: also write files for TensorBoard.
        report: told a line for each epoch of `fit`; None keeps silent.

    Attributes:
        configuration: the settings.
        loss: the loss, whose weights `loss_schedule` moves.
        checkpoints: the manager of the checkpoints.
        history: the epochs so far.

    Raises:
        InvalidInputError: the configuration does not fit; lists every problem.
        MissingExtraError: TensorBoard is asked for and tensorboardX is not installed.

    Example:
        >>> manager = TrainingManager("output", "unet", {"preset": "quick"})  # doctest: +SKIP
        >>> manager.setup_training(model)  # doctest: +SKIP
        >>> manager.fit(train_loader, val_loader)[-1]["val_dice"]  # doctest: +SKIP
        0.91
    """

    def __init__(
        self,
        model_dir: str | Path = "output",
        model_name: str = "model",
        config: Config = None,
        *,
        tensorboard: bool = False,
        report: Callable[[str], object] | None = print,
    ) -> None:
        self.configuration = as_configuration(config)
        folder = Path(model_dir)
        self.loss: CombinedLoss = self.configuration.loss.build()
        self.loss_schedule = LossManager.create_loss_scheduler(
            self.loss, dict(self.configuration.loss.schedule), epochs=self.configuration.training.epochs
        )
        self.checkpoints = build_checkpoint_manager(folder, model_name, self.configuration)
        self.history = TrainingHistory(
            folder / f"{model_name}_history.jsonl", folder / "tensorboard" / model_name if tensorboard else None
        )
        self._report = report
        self._limits = self._new_limits()
        self._model: nn.Module | None = None
        self._optimizer: Optimizer | None = None
        self._scheduler: Any = None
        self._stepper: Stepper | None = None
        self._begin_epoch()

    @staticmethod
    def presets() -> Mapping[str, TrainingConfiguration]:
        """Ready-made configurations by name."""
        return training_presets()

    def setup_training(
        self, model: nn.Module, optimizer: Optimizer | None = None, scheduler: Stateful | None = None
    ) -> None:
        """Take the parts of a training; what is not given is built from the configuration.

        Args:
            model: network from images to logits, on the device that trains it.
            optimizer: of its weights.
            scheduler: of the learning rate, stepped once an epoch by `fit`.
        """
        training, device = self.configuration.training, next(model.parameters()).device
        self._model, self._precision = accelerate(model), choose_precision(training.precision, device)
        self.loss.to(device)
        self._optimizer = optimizer or build_optimizer(
            training.optimizer,
            model.parameters(),
            lr=training.lr,
            weight_decay=training.weight_decay,
            momentum=training.momentum,
            undecayed=self.loss_schedule.parameters(),
        )
        if scheduler is None and optimizer is None:
            scheduler = build_lr_schedule(
                training.lr_schedule, self._optimizer, epochs=training.epochs, warmup=training.warmup
            )
        self._scheduler = scheduler
        self._stepper = Stepper(
            self._optimizer,
            clip_norm=training.clip_norm,
            accumulate=training.accumulate,
            max_bad_steps=training.max_bad_steps,
            precision=self._precision,
            device=device.type,
        )

    def train_step(
        self,
        model: nn.Module,
        batch: tuple[Tensor, Tensor],
        optimizer: Optimizer,
        device: torch.device | str = "cpu",
    ) -> dict[str, float]:
        """Train on one batch.

        Args:
            model: network from images to logits.
            batch: images `(B, C, *spatial)` and masks as the loss's mode has them.
            optimizer: that steps.
            device: that trains.

        Returns:
            `loss`, `loss_<term>` and `dice` of this batch; `train_loss` and `train_dice` of the epoch so far.

        Raises:
            NonFiniteLossError: more steps of this epoch are not finite than the configuration leaves out.
        """
        if self._stepper is None or optimizer is not self._optimizer:
            self.setup_training(model, optimizer, self._scheduler)
        stepper = self._needed_stepper()
        model.train()
        images, masks = (part.to(device) for part in batch)
        for _ in stepper.grouped([batch]):
            with autocast(images.device, self._precision):
                logits = outputs_of(model(images), axes=images.ndim)[0]
            parts = self.loss.breakdown(logits.float(), masks)
            if stepper.backward(parts, 1.0, {"images": images, "logits": logits, "target": masks}):
                stepper.step()
        loss = float(parts.total.detach())
        terms = {f"loss_{name}": float(value) for name, value in parts.terms.items()}
        return {"loss": loss, **terms, **self._train.add(loss, logits.detach(), masks), **self._train.so_far("train_")}

    @torch.no_grad()
    def validate_step(
        self, model: nn.Module, batch: tuple[Tensor, Tensor], device: torch.device | str = "cpu"
    ) -> dict[str, float]:
        """Score one batch.

        Args:
            model: network from images to logits; put into evaluation mode.
            batch: images and masks.
            device: that computes.

        Returns:
            `val_loss` and `val_dice` over all batches of this epoch so far, each case counting once; after the last
            batch they are those of the epoch.
        """
        model.eval()
        images, masks = (part.to(device) for part in batch)
        with autocast(images.device, choose_precision(self.configuration.training.precision, images.device)):
            logits = outputs_of(model(images), axes=images.ndim)[0]
        self._val.add(float(self.loss.breakdown(logits.float(), masks).total), logits, masks)
        return dict(self._val.so_far("val_"))

    def log_epoch(self, epoch: int, train_metrics: Mapping[str, Any], val_metrics: Mapping[str, Any]) -> Row:
        """Write an epoch into the history, and begin the next one.

        Args:
            epoch: that has ended; the first is 1 or 0.
            train_metrics: of its last training step, or of your own; names get `train_` before them.
            val_metrics: likewise, with `val_`.

        Returns:
            The row.
        """
        row = {**_prefixed(train_metrics, "train_"), **_prefixed(val_metrics, "val_")}
        row |= {f"weight_{name}": value for name, value in self.loss.weights.items()}
        self.history.add(epoch, row)
        counted_from_0 = self.history.rows[0]["epoch"] == 0
        self.loss_schedule.step(epoch + counted_from_0, row)
        self._begin_epoch()
        return {"epoch": epoch, **row}

    def save_checkpoint(self, epoch: int, metrics: Mapping[str, Any]) -> Path | None:
        """Save what `setup_training` was given, if the checkpoint strategy says so; returns its path or None.

        Raises:
            InvalidInputError: there is nothing to save yet.
            CheckpointError: it cannot be written.
        """
        if self._model is None:
            raise InvalidInputError("save_checkpoint: no network yet. Hint: call setup_training first.")
        return self.checkpoints.save_checkpoint(
            self._model,
            self._optimizer,
            self._scheduler,
            epoch,
            metrics,
            scaler=self._needed_stepper().scaler,
            loss_schedule=self.loss_schedule,
            metadata={_LIMITS: self._limits.state_dict()},
        )

    def load_checkpoint(self, which: str | int | Path = "best", *, rng: bool = False) -> CheckpointRecord:
        """Fill what `setup_training` was given.

        Raises:
            CheckpointNotFoundError: there is none.
        """
        record = self.checkpoints.load_checkpoint(
            which,
            self._model,
            self._optimizer,
            self._scheduler,
            scaler=self._needed_stepper().scaler,
            loss_schedule=self.loss_schedule,
            rng=rng,
        )
        if _LIMITS in record.metadata:
            self._limits.load_state_dict(record.metadata[_LIMITS], record.epoch)
        return record

    def fit(
        self,
        train: Batches | SegmentationData,
        val: Batches | None = None,
        *,
        resume: bool = True,
    ) -> list[Row]:
        """Train until the budget is used up, or a limit of the configuration is reached.

        On the CPU, a training that was killed and is called again ends as one that was not, from its last checkpoint on
        (the strategy `epoch` has one of each), if its data come from `SegmentationData` or a `DataLoader` without
        worker processes.

        Args:
            train: batches of images and masks, gone through once an epoch, such as a `DataLoader`; or data, of which
                the configuration makes batches.
            val: batches to validate on; with data their validation split.
            resume: go on from the last checkpoint in the folder, if there is one.

        Returns:
            The history.

        Raises:
            InvalidInputError: `setup_training` was not called, or there is nothing to validate on.
            NonFiniteLossError: too many steps of an epoch were not finite.
        """
        model, stepper = self._model, self._needed_stepper()
        if model is None or self._optimizer is None:
            raise InvalidInputError("fit: no network yet. Hint: call setup_training first.")
        self._limits = self._new_limits()
        seed_everything(self.configuration.training.seed)
        epoch = self._resume() if resume else 0
        while not self._limits.ended:
            epoch, started = epoch + 1, time.perf_counter()
            batches = self._batches(train, epoch) if isinstance(train, SegmentationData) else train
            trained = train_epoch(
                model, self.loss, self._optimizer, batches, epoch=epoch, precision=self._precision, stepper=stepper
            )
            row = self.log_epoch(epoch, trained, self._validate(model, train, val))
            if self._scheduler is not None:
                self._scheduler.step()
            self._limits.ends_after(epoch, float(row["val_dice"]), time.perf_counter() - started)
            saved = self.save_checkpoint(epoch, row)
            if self._report is not None:
                self._report(_line(row, self._limits, saved))
        self.checkpoints.close()
        return self.history.rows

    def progress(self) -> dict[str, Any]:
        """As `CheckpointManager.training_progress`, and why training `ended`, if it has."""
        return self.checkpoints.training_progress() | {"ended": self._limits.ended}

    def export_history(self, path: str | Path) -> Path:
        """Write the history as `.csv` or `.json`."""
        return self.history.export(path)

    def plot_history(self, path: str | Path) -> Path:
        """Draw the history into an `.html` file."""
        return self.history.plot(path)

    def _batches(self, data: SegmentationData, epoch: int) -> Batches:
        training = self.configuration.training
        own = ":" in training.augment or training.augment == "standard"
        batches: Batches = training_batches(
            data.train,
            size=training.batch,
            seed=training.seed,
            epoch=epoch,
            augment="none" if own else training.augment,
            crop=training.crop,
        )
        if not own:
            return batches
        named = training.augment != "standard"
        function = import_object(training.augment, "training.augment")() if named else StandardAugmentation()
        return augmented(batches, function, seed=training.seed, epoch=epoch)

    def _validate(self, model: nn.Module, train: object, val: Batches | None) -> dict[str, float]:
        if val is not None:
            found: dict[str, float] = {}
            for batch in val:
                found = self.validate_step(model, batch, next(model.parameters()).device)
            if found:
                return found
        elif isinstance(train, SegmentationData):
            scores = evaluate(
                model,
                train.val,
                mode=train.mode,
                batch=self.configuration.training.batch,
                precision=self._precision,
                ignore_index=train.ignore_index,
                scored=train.scored,
            )
            return {"val_dice": scores.mean}
        raise InvalidInputError("fit: nothing to validate on. Hint: give `val` batches, or data with a val split.")

    def _resume(self) -> int:
        try:
            record = self.load_checkpoint("latest", rng=True)
        except CheckpointNotFoundError:
            return 0
        self.history.drop_after(record.epoch)
        return record.epoch

    def _new_limits(self) -> TrainingLimits:
        training = self.configuration.training
        return TrainingLimits(training.epochs, training.patience, training.max_minutes)

    def _needed_stepper(self) -> Stepper:
        if self._stepper is None:
            raise InvalidInputError("training: nothing is set up yet. Hint: call setup_training first.")
        return self._stepper

    def _begin_epoch(self) -> None:
        loss = self.configuration.loss
        self._train, self._val = (RunningScores(loss.mode, loss.ignore_index) for _ in range(2))


def _prefixed(metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Every name begins with the prefix; of a step those of the epoch so far are taken alone."""
    running = {name: value for name, value in metrics.items() if name.startswith(prefix)}
    others = {f"{prefix}{name}": value for name, value in metrics.items() if name not in running}
    return {**others, **running}


def _line(row: Row, limits: TrainingLimits, saved: Path | None) -> str:
    found = [name for name in ("train_loss", "val_loss") if name in row]
    losses = ", ".join(f"{name.replace('_', ' ')} {row[name]:.4f}" for name in found)
    text = f"epoch {row['epoch']}: {losses}, Dice {row['val_dice']:.4f}" + (f", saved {saved.name}" if saved else "")
    return f"{text}; {limits.ended}" if limits.ended else text
