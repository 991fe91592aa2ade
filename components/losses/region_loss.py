"""What region losses share: their options, and the mean over regions (sample and class, or class when pooled)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses._checks import class_vector, require_known, require_length, require_number
from components.losses.channels import Channels, channels
from components.losses.ignored import checked_ignore_index, valid_mean
from components.losses.inputs import MODES, Mode, full_precision
from components.losses.needs import ClassNeeds, Needs
from components.losses.region_sums import RegionSums, counted_regions, region_sums
from components.losses.shared_sums import MadeOfSums, Summed, required, sum_pixels


class RegionLoss(nn.Module, ABC):
    """Base of losses that give one number per region.

    Ignored pixels are in no sum and get no gradient. A region without a valid pixel is left out of the mean; where
    none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        batch: pool a class over the batch.
        include_background: whether class 0 counts; False only in `multiclass`.
        class_weights: factor of each counted class before the mean, not normalised; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.

    Raises:
        InvalidInputError: an argument does not fit.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        batch: bool = False,
        include_background: bool = True,
        class_weights: Sequence[float] | Tensor | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__()
        require_known("mode", mode, MODES)
        if not include_background and mode != "multiclass":
            raise InvalidInputError(f"include_background: mode {mode!r} has no background channel. Hint: leave it out.")
        if class_weights is not None and mode == "binary":
            raise InvalidInputError("class_weights: mode 'binary' has one class. Hint: leave them out.")
        self.mode: Mode = mode
        self.batch = batch
        self.include_background = include_background
        self.ignore_index = checked_ignore_index(ignore_index, mode)
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_vector("class_weights", class_weights), persistent=False)

    @abstractmethod
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """

    def extra_repr(self) -> str:
        """Name the mode."""
        return f"mode={self.mode!r}"

    def _mean(self, losses: Tensor, counted: Tensor | None) -> Tensor:
        """Mean of `(B, C)` or `(C,)` over the counted regions, which broadcast against them."""
        if self.class_weights is not None:
            require_length("class_weights", self.class_weights, losses.shape[-1])
            losses = losses * self.class_weights.to(losses)
        return valid_mean(losses, counted)


class ChannelLoss(RegionLoss):
    """Base of region losses that need the probability of every pixel."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            found = channels(logits, target, self.mode, self.ignore_index)
            if not self.include_background:
                found = Channels(found.probs[:, 1:], found.truth[:, 1:], found.valid)
            return self._mean(self._losses(found), counted_regions(found.valid, pooled=self.batch))

    @abstractmethod
    def _losses(self, found: Channels) -> Tensor:
        """One number per region, `(B, C)`, or `(C,)` when pooled; finite also without a valid pixel."""

    def _sum(self, values: Tensor) -> Tensor:
        """Sum `(B, C, *spatial)` over each region."""
        return _pooled(values.flatten(2).sum(2), pooled=self.batch)


class SumsLoss(RegionLoss, MadeOfSums):
    """Base of region losses that need a region's three sums only; they share their pass with other such losses.

    Args:
        mode, batch, include_background, class_weights, ignore_index: as in `RegionLoss`.
        smooth_nr: added to the numerator.
        smooth_dr: added to the denominator, above 0.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
        batch: bool = False,
        include_background: bool = True,
        class_weights: Sequence[float] | Tensor | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(
            mode,
            batch=batch,
            include_background=include_background,
            class_weights=class_weights,
            ignore_index=ignore_index,
        )
        self.smooth_nr = require_number("smooth_nr", smooth_nr)
        self.smooth_dr = require_number("smooth_dr", smooth_dr, open_low=True)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            return self.from_sums(sum_pixels(logits, target, self.mode, self.ignore_index, self.needs))

    @property
    def needs(self) -> Needs | ClassNeeds:
        """Which sums the loss is made of."""
        return ClassNeeds(regions=True) if self.mode == "multiclass" else Needs(regions=True)

    def from_sums(self, summed: Summed) -> Tensor:
        """The loss from sums that may serve other losses too."""
        sums = region_sums(summed, pooled=self.batch)
        if not self.include_background:
            sums = RegionSums(*(values[..., 1:] for values in sums))
        counted = counted_regions(summed.valid, pooled=self.batch)
        return self._mean(self._losses(sums, summed), counted)

    @abstractmethod
    def _losses(self, sums: RegionSums, summed: Summed) -> Tensor:
        """One number per region; finite also without a valid pixel."""

    def _pixels(self, summed: Summed, like: Tensor) -> Tensor:
        """Number of valid pixels of each region, broadcasts against the sums."""
        if summed.valid is not None:
            return _pooled(summed.valid.flatten(2).sum(2), pooled=self.batch).to(like)
        overlap = required(summed.sums.overlap)
        regions = overlap.shape[1] if self.batch else overlap.numel()
        return torch.full((1,), summed.entries // regions, device=like.device, dtype=like.dtype)


def background_counts(mode: Mode, chosen: bool | None) -> bool:  # noqa: FBT001 - an option handed on
    """Return whether class 0 counts in a loss about foreground: as chosen, otherwise where it is no background."""
    return mode != "multiclass" if chosen is None else chosen


def _pooled(values: Tensor, *, pooled: bool) -> Tensor:
    return values.sum(0) if pooled else values
