"""Pixel losses: binary and categorical cross-entropy and their focal forms."""

from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from components.errors import InvalidInputError
from components.losses._checks import class_vector, require_known, require_length, require_number
from components.losses.channels import kept, one_hot
from components.losses.conventions import ConventionName, FocalRule, focal_convention
from components.losses.focal import sigmoid_focal, softmax_focal
from components.losses.ignored import over
from components.losses.inputs import MODES, Mode, full_precision, prepare
from components.losses.needs import ClassNeeds, Needs
from components.losses.reduction import REDUCTIONS, Reduction, reduced
from components.losses.shared_sums import MadeOfSums, Summed, required
from components.losses.sigmoid_sums import SigmoidSums, sigmoid_sums
from components.losses.softmax_sums import SoftmaxSums, softmax_sums
from components.mask_policy import MaskPolicy, checked_policy

BCEVariant = Literal["bce", "focal"]


class EnhancedBCELoss(MadeOfSums):
    """Cross-entropy of each pixel, or its focal form, then the mean over pixels as torch takes it.

    - `binary`, `multilabel`: BCE per channel; `focal` is Lin et al. 2017, eq. 5. Mean over pixels and channels.
    - `multiclass`: softmax CE over exclusive classes; `focal` is eq. 4 with the softmax probability of the true
      class. Mean over pixels (`convention="monai"` divides by the number of classes too). Class weights normalise
      as in torch: by the sum of the true classes' weights. At gamma 0 focal is exactly CE.

    Label smoothing e moves targets to (1 - e)*g + e/2 per channel, or (1 - e)*g + e/C over classes (Szegedy et al.
    2016, section 7).

    Ignored pixels get no gradient, and the means are over the others alone; where none is left, the loss is 0.

    Args:
        mode: what the channels mean.
        variant: `bce` (CE in `multiclass`) or `focal`.
        alpha: focal weight of foreground in 0-1, 1 - alpha of background; not in `multiclass`.
        gamma: focus of `focal`; 0 removes it.
        pos_weight: factor of the foreground term of BCE, one number or one per class; `bce` only, not `multiclass`.
        label_smoothing: e above, at least 0 and below 1.
        class_weights: one factor per class; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`. Short for a policy with it.
        policy: which pixels do not count, and what soft labels mean; None for the defaults.
        reduction: `mean` or `sum` over the valid pixels; `none` gives each pixel's loss, 0 where ignored, in the
            logits' shape, or `(B, *spatial)` in `multiclass`.
        convention: whose numbers `focal` reproduces for hard labels; see docs/reference/conventions.md.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = EnhancedBCELoss()
        >>> round(loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item(), 4)  # log 2
        0.6931
    """

    def __init__(
        self,
        mode: Mode = "binary",
        variant: BCEVariant = "bce",
        *,
        alpha: float | None = None,
        gamma: float = 2.0,
        pos_weight: float | Sequence[float] | Tensor | None = None,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | Tensor | None = None,
        ignore_index: int | None = None,
        policy: MaskPolicy | None = None,
        reduction: Reduction = "mean",
        convention: ConventionName = "segtune",
    ) -> None:
        super().__init__()
        require_known("mode", mode, MODES)
        require_known("variant", variant, get_args(BCEVariant))
        self.mode: Mode = mode
        self.variant: BCEVariant = variant
        require_known("reduction", reduction, REDUCTIONS)
        self.policy = checked_policy(policy, ignore_index, mode)
        self.ignore_index = self.policy.ignore_index
        self.reduction: Reduction = reduction
        self.convention: ConventionName = convention
        rules = focal_convention(convention, mode)
        self._rule: FocalRule = rules.focal if mode == "multiclass" else "pixels"
        self.gamma = require_number("gamma", gamma)
        self.alpha = None if alpha is None else require_number("alpha", alpha, high=1.0)
        self.label_smoothing = require_number("label_smoothing", label_smoothing, high=1.0)
        if isinstance(pos_weight, float | Real) or (isinstance(pos_weight, Tensor) and pos_weight.ndim == 0):
            pos_weight = [require_number("pos_weight", float(pos_weight), open_low=True)]
        self._check_combination(pos_weight=pos_weight is not None, class_weights=class_weights is not None)
        self.pos_weight: Tensor | None
        self.class_weights: Tensor | None
        self.register_buffer("pos_weight", class_vector("pos_weight", pos_weight), persistent=False)
        if mode == "binary":
            self._check_positive(1)
        self.register_buffer("class_weights", class_vector("class_weights", class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar unless `reduction` is `none`, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            logits, target, valid = prepare(logits, target, self.mode, self.policy)
            if self.class_weights is not None:
                require_length("class_weights", self.class_weights, logits.shape[1])
            if self.mode == "multiclass":
                return self._over_classes(logits, target, valid)
            return self._per_channel(logits, target, valid)

    @property
    def needs(self) -> Needs | ClassNeeds | None:
        """Which sums the loss is made of; None where its options need every pixel."""
        smooth, focal = self.label_smoothing > 0, self.variant == "focal"
        pixels = smooth and (focal or self.pos_weight is not None)
        if pixels or self.reduction != "mean" or self._rule == "one_vs_rest":
            return None
        if focal:
            return ClassNeeds(gamma=self.gamma) if self.mode == "multiclass" else Needs(gamma=self.gamma)
        if self.mode == "multiclass":
            return ClassNeeds(entropy=True, plain=smooth)
        return Needs(entropy=True, positive=self.pos_weight is not None, even=smooth)

    def from_sums(self, summed: Summed) -> Tensor:
        """The loss from sums that may serve other losses too."""
        sums = summed.sums
        if isinstance(sums, SoftmaxSums):
            return self._classes_from_sums(sums)
        if self.variant == "focal":
            return self._focal_per_channel(summed)
        total = required(sums.entropy)
        if self.label_smoothing > 0:
            total = (1 - self.label_smoothing) * total + self.label_smoothing * required(sums.even)
        if self.pos_weight is not None:
            self._check_positive(total.shape[1])
            total = total + (self.pos_weight.to(total) - 1) * required(sums.positive)
        return summed.mean(self._weighted(total))

    def _classes_from_sums(self, sums: SoftmaxSums) -> Tensor:
        """Normalised as in torch, by the sum of the true classes' weights, or by the logits' valid entries."""
        if self._rule == "entries":
            found = required(sums.focal)
            return self._weighted(found).sum() / (required(sums.truth).sum().clamp_min(1) * found.shape[1])
        norm = self._weighted(required(sums.truth)).sum()
        if self.variant == "focal":
            return over(self._weighted(required(sums.focal)).sum(), norm)
        loss = over(self._weighted(required(sums.entropy)).sum(), norm)
        if self.label_smoothing == 0:
            return loss
        every = self._weighted(required(sums.plain))
        return (1 - self.label_smoothing) * loss + self.label_smoothing * over(every.sum(), norm * every.shape[1])

    def _focal_per_channel(self, summed: Summed) -> Tensor:
        sums = summed.sums
        if not isinstance(sums, SigmoidSums):
            raise TypeError("expected the sums of sigmoid logits")
        of_true, of_false = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        return summed.mean(self._weighted(of_true * required(sums.focal_true) + of_false * required(sums.focal_false)))

    def _weighted(self, totals: Tensor) -> Tensor:
        if self.class_weights is None:
            return totals
        require_length("class_weights", self.class_weights, totals.shape[1])
        return totals * self.class_weights.to(totals)

    def extra_repr(self) -> str:
        """Name the mode and the variant."""
        return f"mode={self.mode!r}, variant={self.variant!r}"

    def _check_combination(self, *, pos_weight: bool, class_weights: bool) -> None:
        if self.label_smoothing == 1.0:
            raise InvalidInputError(
                "label_smoothing: found 1; expected below 1, as nothing of the target would be left."
            )
        if class_weights and self.mode == "binary":
            raise InvalidInputError("class_weights: mode 'binary' has one class. Hint: use pos_weight.")
        if self.convention != "segtune":
            self._check_convention()
        alpha = self.alpha is not None and self._rule != "one_vs_rest"
        if self.mode == "multiclass" and (pos_weight or alpha):
            name = "pos_weight" if pos_weight else "alpha"
            raise InvalidInputError(f"{name}: mode 'multiclass' has no foreground to weigh. Hint: use class_weights.")
        if self.variant == "focal" and pos_weight:
            raise InvalidInputError("pos_weight: variant 'focal' does not take it. Hint: use alpha.")
        if self.variant == "bce" and self.alpha is not None:
            raise InvalidInputError("alpha: variant 'bce' does not take it. Hint: use pos_weight, or variant 'focal'.")

    def _check_convention(self) -> None:
        """The libraries' focal losses have no label smoothing; what they return without a mean differs too much."""
        if self.variant != "focal":
            raise InvalidInputError(
                f"convention: found {self.convention!r}; variant {self.variant!r} is torch's in every library. "
                "Hint: leave it out."
            )
        if self.label_smoothing > 0 or self.reduction != "mean":
            raise InvalidInputError(
                f"convention: {self.convention!r} takes neither label_smoothing nor another reduction than 'mean'. "
                "Hint: leave the convention out."
            )

    def _per_channel(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        smooth = self.label_smoothing
        if smooth > 0:
            target = target * (1 - smooth) + smooth / 2
        weights = None if self.class_weights is None else _per_class(self.class_weights, logits)
        if self.variant == "bce":
            entropy = partial(binary_cross_entropy_with_logits, weight=weights, pos_weight=self._positive(logits))
            if valid is None:
                return entropy(logits, target, reduction=self.reduction)
            return reduced(entropy(logits, target, reduction="none"), valid, self.reduction)
        if self.reduction != "mean":
            pixels = sigmoid_focal(kept(logits, valid, 0.0), target, self.gamma, self.alpha)
            return reduced(pixels if weights is None else pixels * weights, valid, self.reduction)
        target = kept(target, valid, 0.0)  # smoothing moved the ignored ones too
        return self._focal_per_channel(
            Summed(sigmoid_sums(logits, target, Needs(gamma=self.gamma), valid), valid, logits.numel())
        )

    def _positive(self, logits: Tensor) -> Tensor | None:
        if self.pos_weight is None:
            return None
        self._check_positive(logits.shape[1])
        return _per_class(self.pos_weight, logits)

    def _check_positive(self, classes: int) -> None:
        if self.pos_weight is not None and len(self.pos_weight) > 1:
            require_length("pos_weight", self.pos_weight, classes)

    def _over_classes(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        if self.variant == "bce":
            entropy = partial(cross_entropy, weight=weights, label_smoothing=self.label_smoothing)
            if valid is None and weights is None:
                return entropy(logits, target, reduction=self.reduction)
            pixels = entropy(logits, target, reduction="none")
        elif self._rule == "one_vs_rest":
            return self._one_vs_rest(logits, target, valid)
        elif self.label_smoothing == 0 and self.reduction == "mean":
            return self.from_sums(Summed(softmax_sums(logits, target, ClassNeeds(gamma=self.gamma), valid), valid, 0))
        else:
            pixels = self._focal_pixels(logits, target, weights)
        true_weights = None if weights is None else weights[target]
        return reduced(pixels, None if valid is None else valid.squeeze(1), self.reduction, true_weights)

    def _one_vs_rest(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Sigmoid focal of each class against the others, mean over pixels and over classes."""
        valid = None if valid is None else valid.expand_as(logits)
        truth = kept(one_hot(target, logits), valid, 0.0)
        sums = sigmoid_sums(logits, truth, Needs(gamma=self.gamma), valid)
        return self._focal_per_channel(Summed(sums, valid, logits.numel()))

    def _focal_pixels(self, logits: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        losses = softmax_focal(logits, self.gamma)
        if weights is not None:
            losses = losses * _per_class(weights, logits)
        pixels = losses.gather(1, target.unsqueeze(1)).squeeze(1)
        return (1 - self.label_smoothing) * pixels + self.label_smoothing * losses.mean(1)


def _per_class(values: Tensor, logits: Tensor) -> Tensor:
    """Shape `(C,)` to `(C, 1, ...)`, so that it broadcasts against `(B, C, *spatial)`."""
    return torch.reshape(values.to(logits), (-1, *[1] * (logits.ndim - 2)))
