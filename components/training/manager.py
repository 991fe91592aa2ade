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
from components.data import SegmentationData
from components.errors import CheckpointNotFoundError, InvalidInputError
from components.json_lines import Row
from components.losses import CombinedLoss, LossManager
from components.training.configuration import TrainingConfiguration, training_presets
from components.training.history import TrainingHistory
from components.training.limits import TrainingLimits
from components.training.loop import train_epoch
from components.training.memory import memory_hinted
from components.training.named import named_step
from components.training.parts import TrainingParts
from components.training.precision import device_of
from components.training.running import RunningScores
from components.training.seeds import seed_everything
from components.training.setup import Config, as_configuration, build_checkpoint_manager, training_seed
from components.training.validating import Validator, checked, epoch_batches

Batches = Iterable[tuple[Tensor, Tensor]]
_LIMITS = "limits"  # in a checkpoint's metadata
_DIVISOR = 16  # as by default in a study, model.divisor


class TrainingManager:
    """Trains a network by a configuration: in your own loop by single steps, or with `fit`.

    Args:
        model_dir: folder of checkpoints, history and TensorBoard files.
        model_name: begins the name of each checkpoint.
        config: sections `training`, `loss` and `checkpoint` (see `TrainingConfiguration.from_mapping`), or the name of
            a ready-made one under `preset`.
        tensorboard: also write files for TensorBoard.
        report: told a line for each epoch of `fit`; None keeps silent.
        divisor: that sizes of images must be multiples of for the network; images are continued to one by mirroring in
            validation, and where `fit` makes the batches.

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
        divisor: int = _DIVISOR,
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
        self._report, self._divisor = report, divisor
        self._validator = Validator(self.configuration, self.loss, divisor)
        self._step = named_step(self.configuration.training.step)
        self._limits = self._new_limits()
        self._parts: TrainingParts | None = None
        self._started = 0.0
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
            scheduler: of the learning rate of that optimiser, stepped once an epoch by `fit`.

        Raises:
            InvalidInputError: the scheduler belongs to another optimiser.
        """
        known = self._parts is not None and self._parts.model is model
        self._parts = TrainingParts(self.configuration, model, self.loss_schedule, optimizer, scheduler, compiled=known)

    @memory_hinted()
    def train_step(
        self,
        model: nn.Module,
        batch: tuple[Tensor, Tensor],
        optimizer: Optimizer,
        device: torch.device | str = "cpu",
    ) -> dict[str, float]:
        """Train on one batch.

        With `training.accumulate` every so many calls make a step, each batch weighed by its cases. What is left at the
        end of an epoch makes one too, before the first `validate_step`, or `save_checkpoint` or `log_epoch`.

        Args:
            model: network from images to logits, or to several, as in `train_epoch`.
            batch: images `(B, C, *spatial)` and masks as the loss's mode has them.
            optimizer: that steps.
            device: that trains.

        Returns:
            `loss`, `loss_<term>` and `dice` of this batch; `train_loss`, `train_loss_<term>` and `train_dice` of the
            epoch so far, without batches that were left out since their loss was not finite.

        Raises:
            NonFiniteLossError: more steps of this epoch are not finite than the configuration leaves out.
        """
        parts = self._parts
        if parts is None or optimizer is not parts.optimizer:
            kept = None if parts is None else parts.scheduler
            self.setup_training(model, optimizer, kept if getattr(kept, "optimizer", None) is optimizer else None)
        self._started = self._started or time.perf_counter()
        images, masks = (part.to(device) for part in batch)
        return self._needed("train_step").train_batch(model, self.loss, images, masks, self._train)

    @memory_hinted()
    def validate_step(
        self, model: nn.Module, batch: tuple[Tensor, Tensor], device: torch.device | str = "cpu"
    ) -> dict[str, float]:
        """Score one batch.

        Args:
            model: network from images to logits; put into evaluation mode.
            batch: images and masks.
            device: that computes.

        Returns:
            Over all batches of this epoch so far, each case counting once: `val_loss`, `val_loss_<term>`; `val_dice`,
            `val_iou`, `val_precision` and `val_recall`, of each class too; in binary and multilabel the threshold of
            the best Dice, `val_threshold`, and `val_dice_tuned`. While no mask and no prediction holds any foreground,
            the losses alone. After the last batch they are those of the epoch.
        """
        if self._parts is not None:
            self._parts.steps.finish()
        images, masks = (part.to(device) for part in batch)
        return self._validator.batch(model, images, masks)

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
        if self._parts is not None:
            row |= self._parts.end_epoch(epoch)
        row["seconds"] = time.perf_counter() - self._started if self._started else 0.0
        self.history.add(epoch, row)
        counted_from_0 = self.history.rows[0]["epoch"] == 0
        trained = {name.removeprefix("train_"): row[name] for name in row if name.startswith("train_")}
        self.loss_schedule.step(epoch + counted_from_0, trained)
        self._begin_epoch()
        return {"epoch": epoch, **row}

    def save_checkpoint(self, epoch: int, metrics: Mapping[str, Any]) -> Path | None:
        """Save what `setup_training` was given, if the checkpoint strategy says so; returns its path or None.

        Raises:
            InvalidInputError: there is nothing to save yet.
            CheckpointError: it cannot be written.
        """
        self._needed("save_checkpoint").steps.finish()
        return self._save(epoch, metrics)

    def _save(self, epoch: int, metrics: Mapping[str, Any], forced: str = "") -> Path | None:
        parts = self._needed("save_checkpoint")
        return self.checkpoints.save_checkpoint(
            parts.model,
            parts.optimizer,
            parts.scheduler,
            epoch,
            metrics,
            scaler=parts.stepper.scaler,
            loss_schedule=self.loss_schedule,
            metadata={_LIMITS: self._limits.state_dict()},
            forced=forced,
        )

    def load_checkpoint(self, which: str | int | Path = "best", *, rng: bool = False) -> CheckpointRecord:
        """Fill what `setup_training` was given.

        Raises:
            CheckpointNotFoundError: there is none.
        """
        parts = self._needed("load_checkpoint")
        record = self.checkpoints.load_checkpoint(
            which,
            parts.model,
            parts.optimizer,
            parts.scheduler,
            scaler=parts.stepper.scaler,
            loss_schedule=self.loss_schedule,
            rng=rng,
        )
        parts.loaded(record.epoch, (record.metadata.get("config") or {}).get("training", {}))
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

        A training that has ended goes on where its limits were raised, its learning rate as the schedule over the new
        budget has it; otherwise it ends at once.

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
        parts = self._needed("fit")
        data = train if isinstance(train, SegmentationData) else None
        made = None if data is None else epoch_batches(data, self.configuration, parts.model, self._divisor)
        self._limits = self._new_limits()
        seed_everything(training_seed(self.configuration))
        with self.checkpoints, memory_hinted():
            epoch = self._resume(resume=resume)
            while not self._limits.ended:
                epoch, self._started = epoch + 1, time.perf_counter()
                trained = train_epoch(
                    parts.model,
                    self.loss,
                    parts.optimizer,
                    train if made is None else made.of(epoch),  # type: ignore[arg-type]  # batches where it is no data
                    epoch=epoch,
                    precision=parts.precision,
                    stepper=parts.stepper,
                    step=self._step,
                )
                self._end_epoch(epoch, trained, self._validate(parts.model, data, val), self._started)
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

    def _validate(self, model: nn.Module, data: SegmentationData | None, val: Batches | None) -> dict[str, float]:
        found: dict[str, float] = {}
        if val is not None:
            for batch in val:
                found = self.validate_step(model, batch, device_of(model))
        elif data is not None:
            found = self._validator.split(model, data)
        return checked(found)

    def _end_epoch(
        self, epoch: int, trained: Mapping[str, float], validated: Mapping[str, float], started: float
    ) -> None:
        row = self.log_epoch(epoch, trained, validated)
        self._needed("fit").step_scheduler(row)
        ended = self._limits.ends_after(epoch, float(row["val_dice"]), time.perf_counter() - started)
        # The end is saved whatever the strategy says, so that a training that goes on begins there.
        adaptive = self.configuration.checkpoint.strategy == "adaptive"
        forced = "end" if ended and (adaptive or not self.checkpoints.should_save(epoch, row).save) else ""
        saved = self._save(epoch, row, forced)
        if self._report is not None:
            self._report(_line(row, self._limits, saved))

    def _resume(self, *, resume: bool) -> int:
        try:
            record = self.load_checkpoint("latest", rng=True) if resume else None
        except CheckpointNotFoundError:
            record = None
        if record is None:
            self.history.drop_after(-1)
            return 0
        self.history.drop_after(record.epoch)
        if self._limits.ended and self._report is not None:
            self._report(f"epoch {record.epoch} was the last; {self._limits.ended}")
        return record.epoch

    def _new_limits(self) -> TrainingLimits:
        training = self.configuration.training
        return TrainingLimits(training.epochs, training.patience, training.max_minutes)

    def _needed(self, what: str) -> TrainingParts:
        if self._parts is None:
            raise InvalidInputError(f"{what}: no network yet. Hint: call setup_training first.")
        return self._parts

    def _begin_epoch(self) -> None:
        loss = self.configuration.loss
        self._train = RunningScores(loss.mode, loss.ignore_index)
        self._validator.begin_epoch()
        self._started = 0.0


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
