"""Running averages of a network's weights, over torch's `AveragedModel`."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from components.errors import InvalidInputError

_RAMP = 10  # decay begins at 1/10: with few steps behind it, an average should follow the network


class Average:
    """A network whose weights are an average of another's, floating-point buffers too; other buffers are the last ones.

    Made by its subclasses, which say how weights go in.
    """

    def __init__(self, averaged: AveragedModel) -> None:
        self._averaged = averaged

    @property
    def network(self) -> nn.Module:
        """The averaged network, on the device of the one that it was made of; that one's own weights at first."""
        module: nn.Module = self._averaged.module
        return module

    @property
    def count(self) -> int:
        """How often `update` was called."""
        return int(self._averaged.n_averaged)

    def update(self, model: nn.Module) -> None:
        """Take the weights of `model` in; its structure must be that of the network it was made of."""
        self._averaged.update_parameters(model)

    def state_dict(self) -> dict[str, Any]:
        """Averaged tensors and how many went in."""
        return self._averaged.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, bit for bit."""
        self._averaged.load_state_dict(dict(state_dict))


class ExponentialAverage(Average):
    """Exponential moving average, updated after each optimiser step.

    With the t-th step (from 0) each weight becomes d·average + (1 - d)·weight, d = min(decay, (1 + t) / (10 + t)): the
    ramp of TensorFlow's ExponentialMovingAverage; the first step takes the weights as they are.

    Args:
        model: copied.
        decay: share that the average keeps at each step, at least 0 and below 1; smaller where steps are few.

    Raises:
        InvalidInputError: the decay is out of range.

    Example:
        >>> average = ExponentialAverage(model, decay=0.99)  # doctest: +SKIP
        >>> average.update(model)  # after optimizer.step()  # doctest: +SKIP
        >>> logits = average.network(images)  # doctest: +SKIP
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise InvalidInputError(f"ema decay: found {decay}, must be at least 0 and below 1.")

        @torch.no_grad()
        def follow(averages: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor | int) -> None:
            step = int(count)
            share = 1 - min(decay, (1 + step) / (_RAMP + step))
            for average, weight in zip(averages, weights, strict=True):
                if average.is_floating_point() or average.is_complex():
                    average.lerp_(weight.to(average.dtype), share)
                else:
                    average.copy_(weight)

        super().__init__(AveragedModel(model, multi_avg_fn=follow, use_buffers=True))


class StochasticAverage(Average):
    """Stochastic weight averaging (Izmailov et al., UAI 2018): the mean of the weights at several epochs' ends.

    BatchNorm statistics belong to weights; recompute them before the average is used (`recompute_batch_norm`).

    Args:
        model: copied.
    """

    def __init__(self, model: nn.Module) -> None:
        @torch.no_grad()
        def mean(averages: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor | int) -> None:
            for average, weight in zip(averages, weights, strict=True):
                if average.is_floating_point() or average.is_complex():
                    average.lerp_(weight.to(average.dtype), 1 / (int(count) + 1))
                else:
                    average.copy_(weight)

        super().__init__(AveragedModel(model, multi_avg_fn=mean, use_buffers=True))
