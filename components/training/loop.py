"""One epoch of training; the caller owns the loop over epochs."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from components.errors import InvalidInputError
from components.losses import CombinedLoss, DeepSupervisionLoss, LossBreakdown, ReferenceTerms
from components.training.inference import outputs_for
from components.training.precision import Precision, autocast, device_of
from components.training.stepper import Stepper
from components.training.steps import TrainStep, call_step

# What a row calls the parts of a loss.
_PARTS = {
    "loss": "terms",
    "weighted": "weighted",
    "gradient_norm": "gradient_norms",
    "gradient_share": "gradient_shares",
}


def train_epoch(
    model: nn.Module,
    loss: CombinedLoss,
    optimizer: Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    epoch: int,
    precision: Precision = "fp32",
    reference: ReferenceTerms | None = None,
    after_step: Callable[[], object] | None = None,
    stepper: Stepper | None = None,
    step: TrainStep | None = None,
) -> dict[str, float]:
    """Train one epoch in place.

    Args:
        model: network from images to logits, on the device that trains it; or to several, from fine to coarse, whose
            losses are weighed as `DeepSupervisionLoss` does.
        loss: combined loss; computed in fp32 outside autocast.
        optimizer: steps once a batch, or as `stepper` says.
        batches: images and targets, as `components.data.training_batches` yields them.
        epoch: 1-based, for error messages.
        precision: `bf16` and `fp16` run the forward pass under autocast; `fp16` needs a stepper, which scales the loss.
        reference: watches every batch; its means come back as `reference_<term>`.
        after_step: called after each step of the optimiser, as for a moving average of the weights.
        step: computes each batch's loss in place of the model's outputs and `loss`; see `TrainStep`.
        stepper: accumulates, clips and leaves out bad steps; by default each batch is a step, and a bad one an error.

    Returns:
        `train_loss` and, for each term, its unweighted `loss_<term>` and `weighted_<term>`; means over cases. Where the
        loss has a `gradient_interval`, also `gradient_norm_<term>` of the unweighted term at the logits, over the cases
        of the batches that were measured, and `gradient_share_<term>` with its weight. `bad_steps` where some were
        left out.

    Raises:
        NonFiniteLossError: a term became NaN or infinite; the weights of the step before are kept.
        InvalidInputError: there is no batch.
    """
    model.train()
    loss.reset_epoch_means()
    device, supervised = device_of(model), DeepSupervisionLoss(loss)
    stepper = Stepper(optimizer, precision=precision, device=device.type) if stepper is None else stepper
    stepper.guard.begin_epoch(epoch)
    means = _Means()
    for number, group in enumerate(stepper.grouped(batches), start=1):
        cases = sum(len(images) for images, _ in group)
        for images, target in group:
            images, target = (part.to(device, non_blocking=True) for part in (images, target))  # noqa: PLW2901
            if step is None:
                with autocast(device, precision):
                    outputs = outputs_for(model, images)
                logits: Tensor | None = outputs[0]
                parts = supervised.breakdown([output.float() for output in outputs], target)
            else:
                with autocast(device, precision):
                    where = f"epoch {epoch}, batch {number}"
                    parts, logits = call_step(step, model, images, target, loss, where=where)
            batch = {"images": images, **({} if logits is None else {"logits": logits}), "target": target}
            if not stepper.backward(parts, len(images) / cases, batch):
                break
            means.add(parts, cases=len(images))
            if reference is not None and logits is not None:
                reference.add(logits.detach(), target)
        else:
            if stepper.step() and after_step is not None:
                after_step()
    left_out = stepper.guard.left_out()
    watched = {} if reference is None else reference.means()
    seen = {f"reference_{name}": value for name, value in watched.items()}
    return means.row() | seen | ({"bad_steps": left_out} if left_out else {})


class _Means:
    """Means over the cases of an epoch, by the name that they have in its row."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._cases: dict[str, int] = {}

    def add(self, parts: LossBreakdown, cases: int) -> None:
        found = {"train_loss": parts.total}
        for prefix, part in _PARTS.items():
            found |= {f"{prefix}_{name}": value for name, value in getattr(parts, part).items()}
        for name, value in found.items():
            weighted = value.detach().double() * cases  # a number on the device, which is not waited for
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
            self._cases[name] = self._cases.get(name, 0) + cases

    def row(self) -> dict[str, float]:
        if not self._cases:
            raise InvalidInputError("training on no batch at all. Hint: check the training split.")
        sums = torch.stack(list(self._sums.values())).tolist()
        return {name: total / self._cases[name] for name, total in zip(self._sums, sums, strict=True)}
