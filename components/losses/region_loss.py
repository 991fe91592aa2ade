"""What region losses share: their options, and the mean over regions (sample and class, or class when pooled)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses._checks import class_vector, require_known, require_length, require_number
from components.losses.channels import Channels, channels
from components.losses.inputs import MODES, Mode, full_precision
from components.losses.needs import ClassNeeds, Needs
from components.losses.reduction import REDUCTIONS, Reduction, reduced
from components.losses.region_sums import RegionSums, counted_regions, present_regions, region_sums
from components.losses.shared_sums import MadeOfSums, Summed, required, sum_pixels
from components.mask_policy import MaskPolicy, checked_policy


class CommonOptions(TypedDict, total=False):
    """Keyword arguments that every region loss takes; `RegionLoss` says what they mean."""

    class_weights: Sequence[float] | Tensor | None
    ignore_index: int | None
    policy: MaskPolicy | None
    reduction: Reduction


class RegionOptions(CommonOptions, total=False):
    """Those that most of them take."""

    batch: bool
    include_background: bool


class RegionLoss(nn.Module, ABC):
    """Base of losses that give one number per region.

    Ignored pixels are in no sum and get no gradient. A region without a valid pixel, or that the policy skips, is left
    out of the mean; where none is left, the loss is 0 with a gradient of 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        batch: pool a class over the batch.
        include_background: whether class 0 counts; False only in `multiclass`.
        class_weights: factor of each counted class before the mean, not normalised; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`. Short for a policy with it.
        policy: what empty masks, absent classes, ignored pixels and soft labels mean; None for the defaults.
        reduction: `mean` or `sum` over the counted regions; `none` gives `(B, C)`, or `(C,)` when pooled, 0 for a
            region that does not count.

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
        policy: MaskPolicy | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        require_known("mode", mode, MODES)
        require_known("reduction", reduction, REDUCTIONS)
        if not include_background and mode != "multiclass":
            raise InvalidInputError(f"include_background: mode {mode!r} has no background channel. Hint: leave it out.")
        if class_weights is not None and mode == "binary":
            raise InvalidInputError("class_weights: mode 'binary' has one class. Hint: leave them out.")
        self.mode: Mode = mode
        self.batch = batch
        self.include_background = include_background
        self.policy = checked_policy(policy, ignore_index, mode)
        self.ignore_index = self.policy.ignore_index
        self.reduction: Reduction = reduction
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_vector("class_weights", class_weights), persistent=False)

    @abstractmethod
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar unless `reduction` is `none`, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """

    def extra_repr(self) -> str:
        """Name the mode."""
        return f"mode={self.mode!r}"

    def _counted(self, valid: Tensor | None, truth: Tensor | None) -> Tensor | None:
        """Which regions count, broadcasts against them; None for all.

        Args:
            valid: as `prepare` returns it.
            truth: true pixels of each region; None will do where the policy skips nothing.
        """
        counted = counted_regions(valid, pooled=self.batch)
        if truth is None or not self.policy.skips:
            return counted
        present = present_regions(truth, self.policy, pooled=self.batch)
        return present if counted is None else counted & present

    def _reduced(self, losses: Tensor, counted: Tensor | None) -> Tensor:
        """Reduce `(B, C)` or `(C,)` over the counted regions, which broadcast against them."""
        if self.class_weights is not None:
            require_length("class_weights", self.class_weights, losses.shape[-1])
            losses = losses * self.class_weights.to(losses)
        return reduced(losses, counted, self.reduction)


class ChannelLoss(RegionLoss):
    """Base of region losses that need the probability of every pixel."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar unless `reduction` is `none`, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            found = channels(logits, target, self.mode, self.policy)
            if not self.include_background:
                found = Channels(found.probs[:, 1:], found.truth[:, 1:], found.valid)
            truth = self._sum(found.truth) if self.policy.skips else None
            return self._reduced(self._losses(found), self._counted(found.valid, truth))

    @abstractmethod
    def _losses(self, found: Channels) -> Tensor:
        """One number per region, `(B, C)`, or `(C,)` when pooled; finite also without a valid pixel."""

    def _sum(self, values: Tensor) -> Tensor:
        """Sum `(B, C, *spatial)` over each region."""
        return _pooled(values.flatten(2).sum(2), pooled=self.batch)


class SumsLoss(RegionLoss, MadeOfSums):
    """Base of region losses that need a region's three sums only; they share their pass with other such losses.

    Args:
        mode: as in `RegionLoss`.
        smooth_nr: added to the numerator.
        smooth_dr: added to the denominator, above 0 unless the denominator has a floor.
        floor: the denominator's least value.
        options: those of `RegionLoss`.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
        floor: float = 0.0,
        **options: Unpack[RegionOptions],
    ) -> None:
        super().__init__(mode, **options)
        self.smooth_nr = require_number("smooth_nr", smooth_nr)
        self.smooth_dr = require_number("smooth_dr", smooth_dr, open_low=floor == 0)
        self.floor = floor

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar unless `reduction` is `none`, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            return self.from_sums(sum_pixels(logits, target, self.mode, self.policy, self.needs))

    @property
    def needs(self) -> Needs | ClassNeeds:
        """Which sums the loss is made of."""
        return ClassNeeds(regions=True) if self.mode == "multiclass" else Needs(regions=True)

    def from_sums(self, summed: Summed) -> Tensor:
        """The loss from sums that may serve other losses too."""
        sums = region_sums(summed, pooled=self.batch)
        if not self.include_background:
            sums = RegionSums(*(values[..., 1:] for values in sums))
        return self._reduced(self._losses(sums, summed), self._counted(summed.valid, sums.truth))

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
