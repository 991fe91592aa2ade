"""Lovász hinge and Lovász-softmax: the convex extension of the Jaccard loss."""

from dataclasses import replace
from typing import Literal, Unpack, final

import torch
from torch import Tensor

from components.losses._checks import require_known
from components.losses.channels import kept, one_hot
from components.losses.inputs import Mode, full_precision, prepare
from components.losses.region_loss import CommonOptions, RegionLoss
from components.mask_policy import FOREGROUND

Classes = Literal["present", "all"]


@final
class LovaszLoss(RegionLoss):
    """The Lovász extension of 1 - Jaccard at the pixels' errors, per class, then the mean.

    L = Σ_i e_i (J(first i) - J(first i-1)), errors e in falling order, J the Jaccard loss when exactly those pixels are
    wrong. Berman, Rannen Triki & Blaschko, CVPR 2018, algorithm 1.

    - `binary`, `multilabel`: hinge errors max(0, 1 - x) in foreground, max(0, 1 + x) in background, of the logit x.
    - `multiclass`: |truth - softmax probability|.

    Differences of J are taken in closed form, 1/U in foreground and I/(U(U-1)) in background, so that they stay exact
    in fp32 for large volumes. Labels are hard: a soft one counts as foreground above ½.

    Ignored pixels come last in the order, where they change nothing, and get no gradient; regions without a valid pixel
    are left out, and where none is left, the loss is 0.

    Args:
        mode: `binary` and `multilabel` take the hinge, `multiclass` the softmax form.
        per_image: one value per sample and class (True; the paper's image IoU), or per class of the batch.
        classes: `present` leaves classes without foreground out of the mean, `all` keeps them, where they cost their
            largest error; None is the authors' choice: `present` in `multiclass`, `all` otherwise.
        include_background: whether class 0 counts; False only in `multiclass`.
        class_weights: factor of each counted class before the mean, not normalised; not in `binary`.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; per channel in
            `multilabel`.
        policy, reduction: as in `RegionLoss`; `present` is the policy that skips empty masks.

    Raises:
        InvalidInputError: an argument does not fit.

    Example:
        >>> loss = LovaszLoss()  # errors 0.5 (foreground) and 0: J jumps from 0 to 1
        >>> loss(torch.tensor([[[[0.5, -2.0]]]]), torch.tensor([[[[1, 0]]]])).item()
        0.5
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        per_image: bool = True,
        classes: Classes | None = None,
        include_background: bool = True,
        **options: Unpack[CommonOptions],
    ) -> None:
        super().__init__(mode, batch=not per_image, include_background=include_background, **options)
        if classes is not None:
            require_known("classes", classes, ("present", "all"))
        if (classes or ("present" if mode == "multiclass" else "all")) == "present":
            self.policy = replace(self.policy, empty="skip")

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss, fp32 (fp64 for fp64 logits).

        Args:
            logits: `(B, C, *spatial)`, floating.
            target: see `components.losses.inputs.prepare`.
        """
        with full_precision(logits):
            logits, target, valid = prepare(logits, target, self.mode, self.policy)
            errors, truth = self._errors(kept(logits, valid, 0.0), target)
            # Below every error, so that ignored pixels come last; no error is below 0 once it is clipped.
            errors, truth = self._rows(kept(errors, valid, -1.0)), self._rows(truth if valid is None else truth & valid)
            return self._reduced(_extension(errors, truth), self._counted(valid, truth.sum(-1)))

    def _errors(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Errors at least 0 and the hard truth, `(B, C, *spatial)` without an excluded background."""
        if self.mode != "multiclass":
            truth = target > FOREGROUND
            return torch.relu(1 - torch.where(truth, logits, -logits)), truth
        truth, probs = one_hot(target, logits), logits.softmax(1)
        if not self.include_background:
            truth, probs = truth[:, 1:], probs[:, 1:]
        return (truth - probs).abs(), truth > FOREGROUND

    def _rows(self, values: Tensor) -> Tensor:
        """Return `(B, C, pixels)`, or `(C, pixels)` when pooled."""
        return values.movedim(0, 1).flatten(1) if self.batch else values.flatten(2)


def _extension(errors: Tensor, truth: Tensor) -> Tensor:
    """Sum errors times the Jaccard loss's growth along the last axis; errors below 0 count as 0."""
    ordered, order = errors.sort(dim=-1, descending=True)
    truth = truth.gather(-1, order)
    missed = truth.cumsum(-1)
    foreground = missed[..., -1:]
    union = (foreground + (~truth).cumsum(-1)).to(errors)
    overlap = (foreground - missed).to(errors)
    # A false alarm beside no foreground at all is the whole union: there J jumps from 0 to 1.
    of_alarm = torch.where(union > 1, overlap / (union * (union - 1)).clamp_min(1), 1.0)
    growth = torch.where(truth, 1 / union.clamp_min(1), of_alarm)
    return (torch.relu(ordered) * growth).sum(-1)
