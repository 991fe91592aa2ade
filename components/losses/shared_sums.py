"""Losses that are made of a few sums over the pixels, so that several of them share one pass over the logits."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from components.losses.inputs import Mode, prepare
from components.losses.needs import ClassNeeds, Needs
from components.losses.sigmoid_sums import SigmoidSums, sigmoid_sums
from components.losses.softmax_sums import SoftmaxSums, softmax_sums
from components.mask_policy import MaskPolicy

PixelSums = SigmoidSums | SoftmaxSums


@dataclass(frozen=True)
class Summed:
    """The sums of a batch, with what their heads need besides.

    Attributes:
        sums: `(B, C)` each, those that were asked for.
        valid: which pixels count, as `prepare` returns it; None for all.
        entries: of the logits.
    """

    sums: PixelSums
    valid: Tensor | None
    entries: int

    def mean(self, totals: Tensor) -> Tensor:
        """Mean over the valid entries of what was summed, `(B, C)`; 0 where none is valid."""
        if self.valid is None:
            return totals.sum() / self.entries
        return totals.sum() / self.valid.sum().clamp_min(1)


def required(value: Tensor | None) -> Tensor:
    """A sum that was asked for."""
    if value is None:
        raise RuntimeError("this sum was not asked for")
    return value


class MadeOfSums(nn.Module, ABC):
    """A loss that needs nothing of the logits but sums, so that it may share them with others."""

    mode: Mode
    policy: MaskPolicy

    @property
    @abstractmethod
    def needs(self) -> Needs | ClassNeeds | None:
        """Which sums; None where its options need more than sums."""

    @abstractmethod
    def from_sums(self, summed: Summed) -> Tensor:
        """The scalar loss."""


def sum_pixels(logits: Tensor, target: Tensor, mode: Mode, policy: MaskPolicy, needs: Needs | ClassNeeds) -> Summed:
    """Check a batch and take its sums in one pass.

    Args:
        logits: `(B, C, *spatial)`, floating.
        target: see `components.losses.inputs.prepare`.
        mode: what the channels mean.
        policy: which pixels do not count, and what soft labels mean.
        needs: which sums; `ClassNeeds` for `multiclass`.
    """
    logits, target, valid = prepare(logits, target, mode, policy)
    if isinstance(needs, ClassNeeds):
        return Summed(softmax_sums(logits, target, needs, valid), valid, logits.numel())
    return Summed(sigmoid_sums(logits, target, needs, valid), valid, logits.numel())


def joined(*needs: Needs | ClassNeeds) -> Needs | ClassNeeds | None:
    """One need for several losses of the same mode; None where their focal exponents differ."""
    gammas = {need.gamma for need in needs if need.gamma is not None}
    if len(gammas) > 1:
        return None
    flags = {
        field.name: any(getattr(need, field.name) for need in needs)
        for field in fields(needs[0])
        if field.name != "gamma"
    }
    return type(needs[0])(**flags, gamma=next(iter(gammas), None))


def term_values(
    terms: Mapping[str, nn.Module], logits: Tensor, target: Tensor, *, without_gradient: Collection[str] = ()
) -> dict[str, Tensor]:
    """Each loss's value; those that are made of sums share one pass.

    Args:
        terms: losses by name.
        logits: `(B, C, *spatial)`, floating.
        target: what the losses take.
        without_gradient: names of losses that only need a value.
    """
    sharing = {name: term for name, term in terms.items() if isinstance(term, MadeOfSums) and term.needs is not None}
    summed = _sum_for(list(sharing.values()), logits, target) if len(sharing) > 1 else None
    values = {}
    for name, term in terms.items():
        with torch.set_grad_enabled(torch.is_grad_enabled() and name not in without_gradient):
            if summed is not None and name in sharing:
                values[name] = sharing[name].from_sums(summed)
            else:
                values[name] = term(logits, target)
    return values


def _sum_for(terms: list[MadeOfSums], logits: Tensor, target: Tensor) -> Summed | None:
    """The sums of all these losses; None where they cannot share."""
    pixels = {(term.mode, term.policy.ignore_index, term.policy.soft_labels) for term in terms}
    if len(pixels) > 1:
        return None
    needs = joined(*(term.needs for term in terms if term.needs is not None))
    if needs is None:
        return None
    return sum_pixels(logits, target, terms[0].mode, terms[0].policy, needs)
