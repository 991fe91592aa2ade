"""Asymmetric focal, asymmetric focal Tversky and their sum, unified focal (Yeung et al. 2022)."""

from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from components.errors import InvalidInputError
from components.losses._checks import require_known, require_number
from components.losses.channels import kept, one_hot
from components.losses.ignored import valid_mean
from components.losses.inputs import MODES, Mode, full_precision, prepare
from components.losses.region_sums import present_regions
from components.mask_policy import MaskPolicy, checked_policy

# The slope of x^(1 - gamma) has no bound at 0, where it turns a perfect prediction's gradient into NaN.
_FOCAL_FLOOR = 1e-7


class _Groups(NamedTuple):
    """Groups of exclusive classes, of which the first is background: `(B, G, K, *spatial)` each.

    `multiclass` is one group of C classes; otherwise every channel is a group of background and foreground.
    """

    log_p: Tensor
    truth: Tensor  # 0 at ignored pixels
    valid: Tensor | None  # (B, G, *spatial)


@final
class UnifiedFocalLoss(nn.Module):
    """`weight` times an asymmetric focal Tversky loss plus `1 - weight` times an asymmetric focal loss.

    With background b (class 0, or the absence of a channel's class) and foreground classes f:

    - focal: mean over pixels of -(1-d) (1-p_b)^gamma log p_b where b is true, of -d log p_f where f is true. Only the
      background is suppressed. Yeung et al. 2022, "modified asymmetric focal loss".
    - focal Tversky: mean over classes of 1 - TI_b and (1 - TI_f)^(1-gamma), TI = (tp + s) / (tp + d*fn + (1-d)*fp + s).
      Only the foreground is enhanced. "Modified asymmetric focal Tversky loss".

    Which part lambda weighs differs: this follows the authors' published code, where `weight` is the Tversky part's
    (github.com/mlyg/unified-focal-loss); MONAI's `AsymmetricUnifiedFocalLoss` gives it to the focal part. The focal
    part adds its classes, as there; MONAI takes their mean, half of it. At 0 this is the asymmetric focal loss, at 1
    the asymmetric focal Tversky loss. The paper treats one foreground class; more are all treated alike.

    Ignored pixels get no gradient and are in no sum; a region without a valid pixel is left out, and where none is
    left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take a sigmoid per channel, `multiclass` a softmax with class 0 as background.
        weight: lambda, 0-1.
        delta: 0-1; above ½ it weighs foreground, and what is missed.
        gamma: background suppression of the focal and foreground enhancement of the Tversky part; below 1 unless
            `weight` is 0.
        smooth: s of the Tversky part, above 0.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`. Short for a policy with it.
        policy: what empty masks and absent classes (in the Tversky part), ignored pixels and soft labels mean; None for
            the defaults.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = UnifiedFocalLoss(weight=0.0, delta=0.7)  # the asymmetric focal loss
        >>> round(loss(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)).item(), 4)  # 0.7 log 2
        0.4852
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        weight: float = 0.5,
        delta: float = 0.6,
        gamma: float = 0.5,
        smooth: float = 1e-5,
        ignore_index: int | None = None,
        policy: MaskPolicy | None = None,
    ) -> None:
        super().__init__()
        require_known("mode", mode, MODES)
        self.mode: Mode = mode
        self.weight = require_number("weight", weight, high=1.0)
        self.delta = require_number("delta", delta, high=1.0)
        self.gamma = require_number("gamma", gamma)
        self.smooth = require_number("smooth", smooth, open_low=True)
        self.policy = checked_policy(policy, ignore_index, mode)
        self.ignore_index = self.policy.ignore_index
        if self.weight > 0 and self.gamma >= 1:
            raise InvalidInputError(
                f"gamma: found {gamma!r}; expected below 1, as the Tversky part is raised to 1 - gamma."
            )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            groups = self._groups(logits, target)
            if self.weight == 0:
                return self._focal(groups)
            tversky = self._focal_tversky(groups)
            return tversky if self.weight == 1 else self.weight * tversky + (1 - self.weight) * self._focal(groups)

    def extra_repr(self) -> str:
        """Name the mode and the numbers."""
        return f"mode={self.mode!r}, weight={self.weight}, delta={self.delta}, gamma={self.gamma}"

    def _groups(self, logits: Tensor, target: Tensor) -> _Groups:
        logits, target, valid = prepare(logits, target, self.mode, self.policy)
        logits = kept(logits, valid, 0.0)
        if self.mode == "multiclass":
            log_p, truth = logits.log_softmax(1).unsqueeze(1), one_hot(target, logits).unsqueeze(1)
        else:
            log_p = torch.stack([logsigmoid(-logits), logsigmoid(logits)], 2)
            truth = torch.stack([1 - target, target], 2)
        return _Groups(log_p, kept(truth, None if valid is None else valid.unsqueeze(2), 0.0), valid)

    def _focal(self, groups: _Groups) -> Tensor:
        background, foreground = -groups.log_p[:, :, 0], -groups.log_p[:, :, 1:]
        # The floor keeps the slope of the power finite where p rounds to 1; there the loss itself is 0.
        others = (-torch.expm1(-background)).clamp_min(torch.finfo(background.dtype).tiny)
        suppressed = (1 - self.delta) * others.pow(self.gamma) * background * groups.truth[:, :, 0]
        return valid_mean(suppressed + self.delta * (foreground * groups.truth[:, :, 1:]).sum(2), groups.valid)

    def _focal_tversky(self, groups: _Groups) -> Tensor:
        p, g = groups.log_p.exp(), groups.truth
        p = kept(p, None if groups.valid is None else groups.valid.unsqueeze(2), 0.0)
        overlap, predicted, true = (value.flatten(3).sum(3) for value in (p * g, p, g))
        errors = self.delta * (true - overlap) + (1 - self.delta) * (predicted - overlap)
        misses = 1 - (overlap + self.smooth) / (overlap + errors + self.smooth)
        enhanced = misses[:, :, 1:].clamp_min(_FOCAL_FLOOR).pow(1 - self.gamma)
        losses = torch.cat([misses[:, :, :1], enhanced], 2)
        counted = None if groups.valid is None else groups.valid.flatten(2).any(2)
        if not self.policy.skips:
            return valid_mean(losses.mean(2), counted)
        present = present_regions(true, self.policy, pooled=False)
        return valid_mean(losses, present if counted is None else present & counted.unsqueeze(2))
