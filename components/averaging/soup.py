"""Greedy soups: the mean of those checkpoints that together score best on held-out data."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from components.errors import InvalidInputError

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Soup:
    """What a greedy soup came to.

    Attributes:
        weights: the mean; those of the first candidate where no other was accepted.
        accepted: places of the ingredients among the candidates.
        score: of the weights.
        tried: place and score of every mean that was tried, in order.
    """

    weights: dict[str, Tensor]
    accepted: tuple[int, ...]
    score: float
    tried: tuple[tuple[int, float], ...]


def greedy_soup(candidates: Sequence[Weights], score: Callable[[dict[str, Tensor]], float], first: float) -> Soup:
    """Average candidates one after another; one is accepted only when the mean with it scores higher than without.

    Wortsman et al., ICML 2022, algorithm 1, with a strict gain: the score is that of the best single candidate or more.

    Args:
        candidates: state dicts of one architecture, best first; left alone. Those with NaN are never accepted.
        score: of a mean on held-out data; higher is better, NaN is never a gain.
        first: score of the first candidate.

    Raises:
        InvalidInputError: there is no candidate, the first holds NaN, or names or shapes differ.

    Example:
        >>> weights = [{"w": torch.tensor([0.0])}, {"w": torch.tensor([4.0])}, {"w": torch.tensor([-8.0])}]
        >>> greedy_soup(weights, lambda mean: -abs(float(mean["w"]) - 2), first=-2).accepted
        (0, 1)
    """
    if not candidates:
        raise InvalidInputError("a soup needs at least one candidate.")
    for place, candidate in enumerate(candidates):
        if {name: value.shape for name, value in candidate.items()} != {
            name: value.shape for name, value in candidates[0].items()
        }:
            raise InvalidInputError(
                f"soup: candidate {place} has other tensors than the first. Hint: one architecture."
            )
    if not _is_finite(candidates[0]):
        raise InvalidInputError("soup: the first candidate holds NaN or infinity.")
    best, accepted, tried = first, [0], list[tuple[int, float]]()
    for place in range(1, len(candidates)):
        if not _is_finite(candidates[place]):
            continue
        reached = score(_mean([candidates[index] for index in (*accepted, place)]))
        tried.append((place, reached))
        if math.isfinite(reached) and reached > best:
            best = reached
            accepted.append(place)
    return Soup(_mean([candidates[index] for index in accepted]), tuple(accepted), best, tuple(tried))


def _mean(ingredients: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of floating-point tensors, in float64 on the way; of others the first ingredient's."""
    first = ingredients[0]
    mean = {}
    for name, tensor in first.items():
        if len(ingredients) == 1 or not tensor.is_floating_point():
            mean[name] = tensor.clone()
        else:
            stacked = torch.stack([ingredient[name].to(torch.float64) for ingredient in ingredients])
            mean[name] = stacked.mean(0).to(tensor.dtype)
    return mean


def _is_finite(weights: Weights) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in weights.values() if tensor.is_floating_point())
