"""Region losses: Dice and its relatives, as small heads on one statistics pass."""

from typing import Literal, Unpack, get_args

import torch
from torch import Tensor

from components.losses._checks import require_known, require_number
from components.losses.conventions import ConventionName, dice_convention
from components.losses.inputs import Mode
from components.losses.region_loss import CommonOptions, SumsLoss
from components.losses.region_sums import RegionSums
from components.losses.shared_sums import Summed

DiceVariant = Literal["dice", "jaccard", "tversky", "focal_tversky"]

# The slope of x^(1/gamma) has no bound at 0, where it turns a perfect prediction's gradient into NaN.
_FOCAL_FLOOR = 1e-7


class EnhancedDiceLoss(SumsLoss):
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
    next to no gradient until its predicted mass falls to the smoothing; where masks may be empty, pool (`batch`),
    smooth more, or leave such samples out by the policy.

    Ignored pixels are in none of the sums and get no gradient. A region (sample and class, or class when pooled)
    without a valid pixel is left out of the mean; where none is left, the loss is 0.

    Other libraries' numbers come with `convention`, which also sets the defaults of all options marked *. Under
    `nnunet` the loss is the negative score, between -1 and 0, which weighting by uncertainty cannot use.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax.
        variant: which score.
        alpha: * weight of false positives, Tversky variants only; 0.3.
        beta: * weight of false negatives, Tversky variants only; 0.7.
        gamma: focus of `focal_tversky`; above 1 raises the share of nearly solved regions.
        smooth_nr: * added to the numerator; 1e-5.
        smooth_dr: * added to the denominator, above 0 unless the convention bounds the denominator; 1e-5.
        batch: * pool the sums over the batch; no.
        include_background: * whether class 0 counts, False only in `multiclass`; yes.
        convention: `segtune`, or whose numbers to reproduce: `monai`, `smp`, `nnunet` or `toolbelt`; see
            docs/reference/conventions.md.
        class_weights: factor of each counted class before the mean, not normalised, as in MONAI; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy, reduction: as in `RegionLoss`.

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
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float = 4 / 3,
        smooth_nr: float | None = None,
        smooth_dr: float | None = None,
        batch: bool | None = None,
        include_background: bool | None = None,
        convention: ConventionName = "segtune",
        **options: Unpack[CommonOptions],
    ) -> None:
        require_known("variant", variant, get_args(DiceVariant))
        rules = dice_convention(convention, variant)
        if include_background is None:
            include_background = rules.background or mode != "multiclass"
        super().__init__(
            mode,
            smooth_nr=rules.smooth if smooth_nr is None else smooth_nr,
            smooth_dr=rules.smooth if smooth_dr is None else smooth_dr,
            floor=rules.floor,
            batch=rules.batch if batch is None else batch,
            include_background=include_background,
            **options,
        )
        self.variant: DiceVariant = variant
        self.alpha = require_number("alpha", rules.alpha if alpha is None else alpha)
        self.beta = require_number("beta", rules.beta if beta is None else beta)
        self.gamma = require_number("gamma", gamma, open_low=True)
        self.convention: ConventionName = convention
        self._rules = rules
        self.may_be_negative = rules.offset < 1

    def extra_repr(self) -> str:
        """Name the mode and the variant."""
        return f"mode={self.mode!r}, variant={self.variant!r}"

    def _losses(self, sums: RegionSums, summed: Summed) -> Tensor:
        losses = self._rules.offset - self._score(sums)
        if self.variant == "focal_tversky":
            losses = losses.clamp_min(_FOCAL_FLOOR).pow(1 / self.gamma)
        return torch.where(sums.truth > 0, losses, 0.0) if self._rules.empty_is_zero else losses

    def _score(self, sums: RegionSums) -> Tensor:
        if self.variant == "dice":
            return self._ratio(2 * sums.overlap, sums.predicted + sums.truth)
        if self.variant == "jaccard":
            factor = self._rules.jaccard_factor
            return self._ratio(factor * sums.overlap, factor * (sums.predicted + sums.truth - sums.overlap))
        false_positives = sums.predicted - sums.overlap
        false_negatives = sums.truth - sums.overlap
        return self._ratio(sums.overlap, sums.overlap + (self.alpha * false_positives + self.beta * false_negatives))

    def _ratio(self, numerator: Tensor, denominator: Tensor) -> Tensor:
        denominator = denominator + self.smooth_dr
        return (numerator + self.smooth_nr) / (denominator.clamp_min(self.floor) if self.floor else denominator)
