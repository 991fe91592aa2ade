"""What trains a network: its optimiser, learning-rate schedule and steps, built from a configuration or one's own."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from components.checkpoints.format import Stateful
from components.errors import InvalidInputError
from components.losses import CombinedLoss, DeepSupervisionLoss
from components.losses.schedules.base import LossSchedule
from components.training.acceleration import accelerate, compile_network
from components.training.configuration import TrainingConfiguration
from components.training.inference import outputs_for
from components.training.optimizers import add_undecayed, build_lr_schedule, build_optimizer, plan_anew
from components.training.own_steps import OwnSteps
from components.training.precision import autocast, choose_precision, device_of
from components.training.running import RunningScores
from components.training.stepper import Stepper

_OF_LR = ("lr", "lr_schedule", "lr_schedule_arguments", "epochs", "warmup")


class TrainingParts:
    """The parts of one training.

    Args:
        configuration: builds what is not given.
        model: network, on the device that trains it.
        loss_schedule: whose parameters the optimiser trains too, and whose loss goes to the device.
        optimizer: of the network's weights.
        scheduler: of that optimiser's learning rate.
        compiled: whether the network is compiled already.

    Attributes:
        model: the network, prepared.
        optimizer: the one given, or built.
        scheduler: likewise; None where the optimiser was given without.
        precision: that `auto` became.
        stepper: of the optimiser.
        steps: for a loop that gives its batches one by one.

    Raises:
        InvalidInputError: the scheduler belongs to another optimiser.
    """

    def __init__(
        self,
        configuration: TrainingConfiguration,
        model: nn.Module,
        loss_schedule: LossSchedule,
        optimizer: Optimizer | None = None,
        scheduler: Stateful | None = None,
        *,
        compiled: bool = False,
    ) -> None:
        if getattr(scheduler, "optimizer", optimizer) is not optimizer:
            raise InvalidInputError("the scheduler is of another optimiser. Hint: build it for the one that trains.")
        training, device = configuration.training, device_of(model)
        self._training, self._planned = training, scheduler is None and optimizer is None
        self.model, self.precision = accelerate(model), choose_precision(training.precision, device)
        if not compiled:
            compile_network(model, training.compile)
        loss_schedule.loss.to(device)  # with the weights that a schedule may have it learn
        if optimizer is not None:
            add_undecayed(optimizer, loss_schedule.parameters(), scheduler)
        self.optimizer = optimizer or build_optimizer(
            training.optimizer,
            model.parameters(),
            lr=training.lr,
            weight_decay=training.weight_decay,
            momentum=training.momentum,
            arguments=training.optimizer_arguments,
            undecayed=loss_schedule.parameters(),
        )
        self.scheduler: Any = scheduler
        if self._planned:
            self.scheduler = build_lr_schedule(
                training.lr_schedule,
                self.optimizer,
                epochs=training.epochs,
                warmup=training.warmup,
                arguments=training.lr_schedule_arguments,
            )
        self.stepper = Stepper(
            self.optimizer,
            clip_norm=training.clip_norm,
            accumulate=training.accumulate,
            max_bad_steps=training.max_bad_steps,
            precision=self.precision,
            device=device.type,
        )
        self.steps = OwnSteps(self.stepper, training.accumulate)

    def train_batch(
        self, model: nn.Module, loss: CombinedLoss, images: Tensor, masks: Tensor, scores: RunningScores
    ) -> dict[str, float]:
        """Train on a batch of a loop of one's own; a batch whose loss is not finite is left out of the scores.

        Returns:
            `loss`, `loss_<term>` and `dice` of the batch, and the scores so far.
        """
        model.train()
        with autocast(images.device, self.precision):
            outputs = outputs_for(model, images)
        logits = outputs[0]
        parts = DeepSupervisionLoss(loss).breakdown([output.float() for output in outputs], masks)
        self.steps.add(parts, len(images), {"images": images, "logits": logits, "target": masks})
        values = {"loss": parts.total.detach(), **{f"loss_{name}": value for name, value in parts.terms.items()}}
        row = {name: float(value) for name, value in values.items()}
        if all(map(math.isfinite, row.values())):
            row |= scores.add(parts, logits.detach(), masks)
        return row | scores.of_training()

    def end_epoch(self, epoch: int) -> dict[str, Any]:
        """End the epoch's last step, and its count of bad steps; returns how it was trained."""
        self.steps.finish()
        left_out = self.stepper.guard.left_out()
        self.stepper.guard.begin_epoch(epoch + 1)
        facts = {"lr": self.optimizer.param_groups[0]["lr"], "precision": self.precision}
        return facts | ({"train_bad_steps": left_out} if left_out else {})

    def step_scheduler(self, row: Mapping[str, Any]) -> None:
        """Set the next epoch's learning rate."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(row["val_dice" if self.scheduler.mode == "max" else "val_loss"])
        elif self.scheduler is not None:
            self.scheduler.step()

    def loaded(self, epoch: int, before: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; where it planned another learning rate, follow the configuration of now.

        Args:
            epoch: of the checkpoint.
            before: the section `training` that it was trained by.
        """
        self.steps.drop()
        training = self._training
        if not self._planned or all(before.get(name) == getattr(training, name) for name in _OF_LR):
            return
        plan_anew(
            self.scheduler,
            training.lr_schedule,
            self.optimizer,
            lr=training.lr,
            epochs=training.epochs,
            warmup=training.warmup,
            after=min(epoch, training.epochs),
            arguments=training.lr_schedule_arguments,
        )
