"""How a loss pulls at the logits: by term, on foreground, on empty masks, and when its weights move."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from components.losses.combined import CombinedLoss
from components.losses.evaluation_batch import MaskBatch

Verdict = Literal["ok", "no gradient", "spike", "not finite"]

ALONE = "loss"  # what the one term of a loss without named terms is called
_WEIGHT_STEP = 0.1
_EMPTY_LEVELS = (-4.0, -8.0, -12.0, -16.0, -20.0)  # logits of a network that finds less and less
_NOISE = 0.5  # of logits around 0, as in the stage `untrained`
_NEXT_TO_NONE = 1e-2  # of the gradient that the same case has with its foreground
_SPIKE = 10.0  # times that gradient


@dataclass(frozen=True)
class StageBehaviour:
    """A loss at one stage of training.

    Attributes:
        value: of the whole loss.
        shares: of each term in the sum of the norms of the weighted terms' gradients at the logits, adding up to 1;
            all 0 where no term has a gradient.
        foreground: share of the absolute gradient of the whole loss that falls on foreground pixels.
        weight_cosine: smallest cosine between the gradient and what it becomes when one weight moves by 0.1 and the
            others make room, weights adding up to 1; None for one term, or without a gradient.
    """

    value: float
    shares: dict[str, float]
    foreground: float
    weight_cosine: float | None


@dataclass(frozen=True)
class EmptyMaskBehaviour:
    """A loss at a case whose mask is empty, in a batch beside one that is not.

    Attributes:
        value_much: of the batch, while the network predicts about ½ everywhere in the empty case.
        value_little: of the batch, once it predicts next to nothing there (logits of -12).
        gradient_much: norm of the gradient at the empty case's logits while the network predicts about ½, relative to
            that of the same case with its foreground. It is what unlearns false alarms.
        gradient_little: the largest such norm while the prediction falls to nothing (logits of -4 to -20).
        verdict: `no gradient` where gradient_much is below 0.01, so that false alarms are hardly unlearned; `spike`
            where either gradient is above 10, `not finite`, or else `ok`.
    """

    value_much: float
    value_little: float
    gradient_much: float
    gradient_little: float
    verdict: Verdict


def terms_of(loss: nn.Module) -> dict[str, tuple[float, nn.Module]]:
    """Weight and module of each term that trains; a loss without named terms is one."""
    if not isinstance(loss, CombinedLoss):
        return {ALONE: (1.0, loss)}
    weights = loss.weights
    return {name: (weights[name], term) for name, term in loss.terms.items() if weights[name] > 0}


def at_stage(loss: nn.Module, logits: Tensor, batch: MaskBatch) -> StageBehaviour:
    """Measure a loss at these logits."""
    terms = terms_of(loss)
    value, gradients = 0.0, {}
    for name, (weight, term) in terms.items():
        found, gradients[name] = value_and_gradient(term, logits, batch.target, weight)
        value += found
    norms = {name: gradient.norm().item() for name, gradient in gradients.items()}
    norm = sum(norms.values())
    whole = torch.stack(list(gradients.values())).sum(0).abs()
    mass = whole.sum().item()
    return StageBehaviour(
        value=value,
        shares={name: part / norm if norm > 0 else 0.0 for name, part in norms.items()},
        foreground=whole[batch.foreground].sum().item() / mass if mass > 0 else 0.0,
        weight_cosine=_weight_cosine({name: weight for name, (weight, _) in terms.items()}, gradients),
    )


def value_and_gradient(loss: nn.Module, logits: Tensor, target: Tensor, weight: float = 1.0) -> tuple[float, Tensor]:
    """The weighted value, and its gradient at the logits in fp64, 0 where the loss does not depend on them."""
    leaf = logits.detach().clone().requires_grad_()
    value = weight * loss(leaf, target)
    if not value.requires_grad:
        return value.item(), torch.zeros_like(leaf, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True, materialize_grads=True)
    return value.item(), gradient.double()


def _weight_cosine(weights: Mapping[str, float], gradients: Mapping[str, Tensor]) -> float | None:
    """From the products of the terms' gradients alone: no further pass."""
    if len(weights) == 1:
        return None
    each = torch.stack([(gradients[name] / weight).flatten() for name, weight in weights.items()])
    products = each @ each.T
    now = torch.tensor(list(weights.values()), dtype=products.dtype, device=products.device)
    now = now / now.sum()
    cosines = []
    for index in range(len(now)):
        for step in (-_WEIGHT_STEP, _WEIGHT_STEP):
            moved = (now[index] + step).clamp(0, 1)
            then = now * (1 - moved) / (1 - now[index])
            then[index] = moved
            lengths = (now @ products @ now * (then @ products @ then)).sqrt()
            if not lengths > 0:
                return None
            cosines.append((now @ products @ then / lengths).item())
    return min(1.0, *cosines)


def on_empty_masks(loss: nn.Module, logits: Tensor, batch: MaskBatch, seed: int) -> EmptyMaskBehaviour:
    """Measure a loss on the batch's case with most foreground, emptied, beside itself as it is.

    Args:
        loss: what is measured.
        logits: of the batch, as a network half way might give them; those beside the emptied case.
        batch: masks.
        seed: of the noise in the emptied case's logits.
    """
    index = int(batch.foreground.flatten(1).sum(1).argmax())
    case, full = logits[index : index + 1], batch.target[index : index + 1]
    ignored = torch.zeros_like(full, dtype=torch.bool) if batch.ignore_index is None else full == batch.ignore_index
    target = torch.cat([torch.where(ignored, full, torch.zeros_like(full)), full])
    noise = _NOISE * torch.randn(case.shape, generator=torch.Generator().manual_seed(seed)).to(case)
    reference = value_and_gradient(loss, torch.cat([noise, case]), torch.cat([full, full]))[1][0].norm().item()
    values, norms = [], []
    for level in (0.0, *_EMPTY_LEVELS):
        value, gradient = value_and_gradient(loss, torch.cat([_emptied(noise, level, batch), case]), target)
        values.append(value)
        norms.append(gradient[0].norm().item())
    relative = [norm / reference if reference > 0 else norm for norm in norms]
    return EmptyMaskBehaviour(
        value_much=values[0],
        value_little=values[1 + _EMPTY_LEVELS.index(-12.0)],
        gradient_much=relative[0],
        gradient_little=max(relative[1:]),
        verdict=_verdict(values, relative),
    )


def _emptied(noise: Tensor, level: float, batch: MaskBatch) -> Tensor:
    """Logits of that level for foreground; for exclusive classes beside a background of 0."""
    logits = noise + level
    if batch.mode == "multiclass":
        logits[:, 0] = noise[:, 0]
    return logits


def _verdict(values: list[float], relative: list[float]) -> Verdict:
    if not torch.isfinite(torch.tensor([*values, *relative])).all():
        return "not finite"
    if relative[0] < _NEXT_TO_NONE:
        return "no gradient"
    return "spike" if max(relative) > _SPIKE else "ok"
