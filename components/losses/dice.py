"""Region losses: Dice and its relatives, as small heads on one statistics pass."""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses._checks import class_vector, require_known, require_length, require_number
from components.losses.ignored import checked_ignore_index, valid_mean
from components.losses.inputs import MODES, Mode, full_precision
from components.losses.needs import ClassNeeds, Needs
from components.losses.region_sums import RegionSums, counted_regions, region_sums
from components.losses.shared_sums import MadeOfSums, Summed, sum_pixels

DiceVariant = Literal["dice", "jaccard", "tversky", "focal_tversky"]

# The slope of x^(1/gamma) has no bound at 0, where it turns a perfect prediction's gradient into NaN.
_FOCAL_FLOOR = 1e-7


class EnhancedDiceLoss(nn.Module, MadeOfSums):
    """One minus an overlap score, per sample and class (or pooled over the batch), then the mean.

    With I, P and G the sums of p*g, p and g, and nr, dr the smoothing terms:

    - `dice`: 1 - (2I + nr) / (P + G + dr). Milletari et al. 2016, section 3, without squares.
    - `jaccard`: 1 - (2I + nr) / (2(P + G - I) + dr). MONAI's form; its smoothing counts half.
    - `tversky`: 1 - TI, TI = (I + nr) / (I + alpha*(P - I) + beta*(G - I) + dr). Salehi et al. 2017:
      alpha weighs false positives, beta false negatives.
    - `focal_tversky`: (1 - TI)^(1/gamma). Abraham & Khan 2018, whose gamma = 4/3 is the exponent 3/4; code
      that writes (1 - TI)^gamma calls the same setting 0.75. The paper sums over classes, this takes the mean, and
      its alpha is the weight of false negatives, here beta.

    Values and gradients of the first three are MONAI's (`DiceLoss`, `TverskyLoss`). A sample without foreground has
    next to no gradient until its predicted mass falls to the smoothing; where masks may be empty, pool (`batch`) or
    smooth more.

    Ignored pixels are in none of the sums and get no gradient. A region (sample and class, or class when pooled)
    without a valid pixel is left out of the mean; where none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        variant: which score.
        alpha: weight of false positives, Tversky variants only.
        beta: weight of false negatives, Tversky variants only.
        gamma: focus of `focal_tversky`; above 1 raises the share of nearly solved regions.
        smooth_nr: added to the numerator.
        smooth_dr: added to the denominator, above 0.
        batch: pool the sums over the batch.
        include_background: whether class 0 counts; False only in `multiclass`.
        class_weights: factor of each counted class before the mean, not normalised, as in MONAI; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = EnhancedDiceLoss()
        >>> logits = torch.tensor([[[[0.0, 0.0]]]])  # probability 1/2: I = 0.5, P = 1, G = 1
        >>> round(loss(logits, torch.tensor([[[[1, 0]]]])).item(), 4)
        0.5
    """

    def __init__(
        self,
        mode: Mode = "binary",
        variant: DiceVariant = "dice",
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 4 / 3,
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
        batch: bool = False,
        include_background: bool = True,
        class_weights: Sequence[float] | Tensor | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__()
        require_known("mode", mode, MODES)
        require_known("variant", variant, get_args(DiceVariant))
        self.mode: Mode = mode
        self.variant: DiceVariant = variant
        self.alpha = require_number("alpha", alpha)
        self.beta = require_number("beta", beta)
        self.gamma = require_number("gamma", gamma, open_low=True)
        self.smooth_nr = require_number("smooth_nr", smooth_nr)
        self.smooth_dr = require_number("smooth_dr", smooth_dr, open_low=True)
        self.batch = batch
        self.ignore_index = checked_ignore_index(ignore_index, mode)
        self.include_background = include_background
        if not include_background and mode != "multiclass":
            raise InvalidInputError(f"include_background: mode {mode!r} has no background channel. Hint: leave it out.")
        if class_weights is not None and mode == "binary":
            raise InvalidInputError("class_weights: mode 'binary' has one class. Hint: leave them out.")
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_vector("class_weights", class_weights), persistent=False)

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
        losses = self._losses(sums)
        if self.class_weights is not None:
            require_length("class_weights", self.class_weights, losses.shape[-1])
            losses = losses * self.class_weights.to(losses)
        return valid_mean(losses, counted_regions(summed.valid, pooled=self.batch))

    def extra_repr(self) -> str:
        """Name the mode and the variant."""
        return f"mode={self.mode!r}, variant={self.variant!r}"

    def _losses(self, sums: RegionSums) -> Tensor:
        if self.variant == "dice":
            return 1 - (2 * sums.overlap + self.smooth_nr) / (sums.predicted + sums.truth + self.smooth_dr)
        if self.variant == "jaccard":
            union = sums.predicted + sums.truth - sums.overlap
            return 1 - (2 * sums.overlap + self.smooth_nr) / (2 * union + self.smooth_dr)
        misses = 1 - self._tversky_index(sums)
        if self.variant == "tversky":
            return misses
        return misses.clamp_min(_FOCAL_FLOOR).pow(1 / self.gamma)

    def _tversky_index(self, sums: RegionSums) -> Tensor:
        false_positives = sums.predicted - sums.overlap
        false_negatives = sums.truth - sums.overlap
        errors = self.alpha * false_positives + self.beta * false_negatives
        return (sums.overlap + self.smooth_nr) / (sums.overlap + errors + self.smooth_dr)
