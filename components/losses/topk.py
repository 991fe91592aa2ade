"""Cross-entropy of the hardest pixels only."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from components.errors import InvalidInputError
from components.losses._checks import class_vector, require_known, require_length, require_number
from components.losses.channels import kept
from components.losses.inputs import MODES, Mode, full_precision, prepare
from components.mask_policy import MaskPolicy, checked_policy

# The share is kept in whole millionths: then the number of hardest pixels is exact on every device.
_PARTS = 1_000_000


@final
class TopKLoss(nn.Module):
    """Mean cross-entropy of the share of pixels whose cross-entropy is largest.

    L = mean of the k largest of the batch's losses, k = floor(share * n) of n valid pixels, at least 1. Wu et al. 2016
    (Bridging category-level and instance-level semantic image segmentation, online bootstrapping); with a
    share of 0.1 it is nnU-Net's TopK10.

    `binary` and `multilabel` take the BCE of each pixel and channel, `multiclass` the softmax CE of each pixel.
    Ignored pixels are not among the n and get no gradient; where none is valid, the loss is 0.

    Args:
        mode: what the channels mean.
        share: of the valid pixels, above 0 and at most 1, in steps of a millionth.
        class_weights: one factor per class, before the hardest are chosen, as in nnU-Net; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`. Short for a policy with it.
        policy: which pixels do not count, and what soft labels mean; None for the defaults.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = TopKLoss(share=0.5)  # of two pixels the worse
        >>> round(loss(torch.tensor([[[[0.0, 9.0]]]]), torch.tensor([[[[1, 1]]]])).item(), 4)  # log 2
        0.6931
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        share: float = 0.1,
        class_weights: Sequence[float] | Tensor | None = None,
        ignore_index: int | None = None,
        policy: MaskPolicy | None = None,
    ) -> None:
        super().__init__()
        require_known("mode", mode, MODES)
        if class_weights is not None and mode == "binary":
            raise InvalidInputError("class_weights: mode 'binary' has one class. Hint: leave them out.")
        self.mode: Mode = mode
        self.share = require_number("share", share, low=1 / _PARTS, high=1.0)
        self.policy = checked_policy(policy, ignore_index, mode)
        self.ignore_index = self.policy.ignore_index
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_vector("class_weights", class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            logits, target, valid = prepare(logits, target, self.mode, self.policy)
            losses = self._entropy(kept(logits, valid, 0.0), target)
            return self._hardest(losses.flatten(), None if valid is None else valid.flatten())

    def extra_repr(self) -> str:
        """Name the mode and the share."""
        return f"mode={self.mode!r}, share={self.share}"

    def _entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = None
        if self.class_weights is not None:
            require_length("class_weights", self.class_weights, logits.shape[1])
            weights = self.class_weights.to(logits)
        if self.mode == "multiclass":
            return cross_entropy(logits, target, weight=weights, reduction="none")
        if weights is not None:
            weights = weights.view(-1, *[1] * (logits.ndim - 2))
        return binary_cross_entropy_with_logits(logits, target, weight=weights, reduction="none")

    def _hardest(self, losses: Tensor, valid: Tensor | None) -> Tensor:
        parts = round(self.share * _PARTS)
        if valid is None:
            count = max(len(losses) * parts // _PARTS, 1)
            return losses.topk(count, sorted=False).values.mean()
        # How many count is known on the device only: all are sorted, the ignored last, so that nothing is waited for.
        ordered = kept(losses, valid, -1.0).sort(descending=True).values
        pixels = valid.sum()
        hardest = torch.minimum((pixels * parts // _PARTS).clamp_min(1), pixels)
        chosen = torch.arange(len(losses), device=losses.device) < hardest
        return torch.where(chosen, ordered, 0.0).sum() / hardest.clamp_min(1)
