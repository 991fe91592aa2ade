"""Validation of a training outside a study, batch by batch or over a split, by the same scores."""

from typing import Any

import torch
from torch import Tensor, nn

from components.data import SegmentationData, evaluation_batches
from components.data.epochs import EpochBatches
from components.errors import InvalidInputError
from components.losses import CombinedLoss
from components.training.configuration import TrainingConfiguration
from components.training.inference import SlidingWindow, extended, predict
from components.training.named import named_augmentation
from components.training.precision import autocast, choose_precision, device_of
from components.training.running import RunningScores
from components.training.setup import training_seed
from components.training.single_case import joins_single
from components.training.windows import validation_batch, validation_window


class Validator:
    """Scores an epoch.

    Args:
        configuration: of the training; of `training` crop, window, overlap, batch and precision, of `loss` what masks
            mean.
        loss: whose value is scored too.
        divisor: images are continued to a multiple of it by mirroring; what is predicted there is cut off.
    """

    def __init__(self, configuration: TrainingConfiguration, loss: CombinedLoss, divisor: int) -> None:
        self._training, self._masks = configuration.training, configuration.loss
        self._loss, self._divisor = loss, divisor
        self.begin_epoch()

    def begin_epoch(self, names: tuple[str, ...] | None = None) -> None:
        """Score anew; `names` are those of the foreground classes."""
        self._scores = RunningScores(self._masks.mode, self._masks.ignore_index, names)

    def batch(self, model: nn.Module, images: Tensor, masks: Tensor) -> dict[str, float]:
        """Add a batch on the model's device; returns the scores so far."""
        self._add(model, images, masks, self._window({tuple(images.shape[2:])}))
        return self._scores.of_validation()

    def split(self, model: nn.Module, data: SegmentationData) -> dict[str, float]:
        """The scores of a validation split, cut and batched as a study does it."""
        self.begin_epoch(data.foreground)
        training, device = self._training, device_of(model)
        window = self._window({size for split in data.splits.values() for size in split.sizes})
        size = validation_batch(data.val.sizes, batch=training.batch, crop=training.crop)
        for images, masks in evaluation_batches(data.val, size=size):
            self._add(model, images.to(device), masks.to(device), window)
        return self._scores.of_validation()

    @torch.no_grad()
    def _add(self, model: nn.Module, images: Tensor, masks: Tensor, window: SlidingWindow | None) -> None:
        model.eval()
        inside: tuple[Any, ...] = (..., *(slice(size) for size in images.shape[2:]))
        with autocast(images.device, choose_precision(self._training.precision, images.device)):
            logits = predict(model, extended(images, self._divisor), window)[inside]
        parts = self._loss.breakdown(logits.float(), masks)
        self._scores.add(parts, logits, masks, sweep=True)

    def _window(self, sizes: set[tuple[int, ...]]) -> SlidingWindow | None:
        training = self._training
        return validation_window(
            sizes, batch=training.batch, crop=training.crop, window=training.window, overlap=training.overlap
        )


def epoch_batches(
    data: SegmentationData, configuration: TrainingConfiguration, model: nn.Module, divisor: int
) -> EpochBatches:
    """Training batches of the data as the configuration says.

    Raises:
        InvalidInputError: its loss does not read the masks of these data.
    """
    _check_data(data, configuration)
    training = configuration.training
    return EpochBatches(
        data.train,
        size=training.batch,
        seed=training_seed(configuration),
        device=device_of(model),
        augment=training.augment,
        augmentation=named_augmentation(training, data.train),
        mirror=training.mirror,
        crop=training.crop,
        divisor=divisor,
        foreground=training.foreground,
        steps=training.steps,
        accumulate=training.accumulate,
        join_single=joins_single(model, data.train, batch=training.batch, crop=training.crop, divisor=divisor),
    )


def checked(found: dict[str, float]) -> dict[str, float]:
    """The scores of a validation.

    Raises:
        InvalidInputError: there was nothing to validate on, or no Dice of it.
    """
    if not found:
        raise InvalidInputError("fit: nothing to validate on. Hint: give `val` batches, or data with a val split.")
    if "val_dice" not in found:
        raise InvalidInputError(
            "fit: no Dice, since no validation case has any foreground, neither in its mask nor in its prediction. "
            "Hint: validate on cases that have some."
        )
    return found


def _check_data(data: SegmentationData, configuration: TrainingConfiguration) -> None:
    loss = configuration.loss
    if loss.mode != data.mode:
        raise InvalidInputError(f"loss.mode: found {loss.mode!r}, the data {data.name!r} are {data.mode!r}.")
    if data.ignore and loss.ignore_index != data.ignore_index:
        raise InvalidInputError(
            f"loss.ignore_index: found {loss.ignore_index}, pixels without a label are {data.ignore_index} in the data "
            f"{data.name!r}."
        )
