"""A weighted sum of named losses whose weights may move during training."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses._checks import require_known, require_number, require_whole
from components.losses.breakdown import LossBreakdown, gradient_norms, shares
from components.losses.compiled import CompiledTerms
from components.losses.inputs import full_precision, widened
from components.losses.running import RunningMeans
from components.losses.shared_sums import term_values

# Training calls from one measurement of gradient norms to the next, so that it costs next to nothing.
GRADIENT_INTERVAL = 32


class CombinedLoss(nn.Module):
    """Sum of weight times term over named terms.

    A term that the weights leave out has weight 0: it is watched in `breakdown` and does not train. Weights are plain
    numbers, belong to `state_dict()` and come back with `load_state_dict()`.

    While gradients are on, each call also adds its terms, detached, to means over the epoch (`epoch_means`), which
    schedules read when a script hands them no term losses.

    `weighting` is None, or a module that makes the total of the terms in place of the weights; its parameters are
    learned (`UncertaintySchedule`).

    Args:
        terms: losses by name, each called with `(logits, target)` and returning a scalar; a name is an identifier,
            such as `dice`.
        weights: by term name, finite, at least 0, one above 0; None gives each of K terms 1/K.
        compile: compute the terms through `torch.compile`, see `CompiledTerms`; `backward(retain_graph=True)` is then
            not possible.
        gradient_interval: measure gradient norms (`breakdown`) at the first training call of an epoch and every so
            many after it; None for never.

    Raises:
        InvalidInputError: names or weights do not fit.

    Example:
        >>> loss = CombinedLoss({"dice": EnhancedDiceLoss(), "bce": EnhancedBCELoss()}, {"dice": 0.7, "bce": 0.3})
        >>> loss.weights
        {'dice': 0.7, 'bce': 0.3}
        >>> parts = loss.breakdown(logits, target)
        >>> parts.total.backward()
    """

    def __init__(
        self,
        terms: Mapping[str, nn.Module],
        weights: Mapping[str, float] | None = None,
        *,
        compile: bool = False,  # noqa: A002 - torch's own word for it
        gradient_interval: int | None = None,
    ) -> None:
        super().__init__()
        if not terms:
            raise InvalidInputError("terms: found none; expected at least one loss by name.")
        for name, term in terms.items():
            _check_term(name, term)
        if gradient_interval is not None:
            require_whole("gradient_interval", gradient_interval, low=1)
        self.terms = nn.ModuleDict(dict(terms))
        self.weighting: nn.Module | None = None  # a schedule with learned weights sets it
        self.gradient_interval = gradient_interval
        self._values = CompiledTerms() if compile else term_values
        self._means, self._norms, self._calls = RunningMeans(), RunningMeans(), 0
        self._weights: dict[str, float] = {}
        self.weights = {name: 1 / len(terms) for name in terms} if weights is None else weights

    @property
    def weights(self) -> dict[str, float]:
        """A copy of the weights, in the order of the terms; assigning checks and replaces them all."""
        return dict(self._weights)

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None:
        self._weights = self.checked_weights(weights)

    def checked_weights(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Return one weight per term, 0 for those left out, without setting them.

        Raises:
            InvalidInputError: a name is no term, a value is not finite or below 0, or all are 0.
        """
        for name, value in weights.items():
            require_known("weights: term", name, tuple(self.terms))
            require_number(f"weights: {name}", value)
        complete = {name: float(weights.get(name, 0.0)) for name in self.terms}
        if not any(complete.values()):
            raise InvalidInputError(f"weights: found {complete}; expected at least one above 0.")
        return complete

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted sum, scalar; terms of weight 0 are not computed.

        Args:
            logits: `(B, C, *spatial)`, floating; terms get them in fp32 (double stays double).
            target: what the terms take.
        """
        return self.breakdown(logits, target, watched=False).total

    def breakdown(
        self, logits: Tensor, target: Tensor, *, watched: bool = True, gradients: bool | None = None
    ) -> LossBreakdown:
        """Return the weighted sum with the parts of each term.

        Args:
            logits: as in `forward`.
            target: as in `forward`.
            watched: compute terms of weight 0 too, without gradient.
            gradients: measure the gradient norm of each trained term at the logits, at the cost of a backward pass
                through each; None: as `gradient_interval` says.
        """
        if gradients and (torch.is_inference_mode_enabled() or logits.is_inference()):
            raise InvalidInputError("gradients: there are none in inference mode. Hint: torch.no_grad() will do.")
        training = torch.is_grad_enabled()
        measured = (training and self._is_due()) if gradients is None else gradients
        asleep = {name for name, weight in self._weights.items() if weight == 0}
        terms = {name: term for name, term in self.terms.items() if watched or name not in asleep}
        wide = widened(logits)
        with full_precision(logits), torch.set_grad_enabled(training or measured):
            if measured and not wide.requires_grad:
                wide = wide.detach().requires_grad_()
            # What was compiled cannot go back twice.
            values_of = term_values if measured else self._values
            found = values_of(terms, wide, target, without_gradient=asleep)
            found = {name: _scalar(name, value) for name, value in found.items()}
            trained = {name: value for name, value in found.items() if name not in asleep}
            total = self._total(trained)
            norms = gradient_norms(trained, wide) if measured else {}
        values = _detached(found)
        if training:
            self._means.add(values, cases=len(logits))
            self._norms.add(norms, cases=len(logits))
            self._calls += 1
        return LossBreakdown(
            total=total if training else total.detach(),
            terms=values,
            weighted={name: self._weights[name] * value for name, value in values.items()},
            gradient_norms=norms,
            gradient_shares=shares({name: self._weights[name] * norm for name, norm in norms.items()}),
        )

    def _total(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of the terms that train, or what learned weights make of them."""
        if self.weighting is not None:
            total: Tensor = self.weighting(values)
            return total
        return torch.stack([self._weights[name] * value for name, value in values.items()]).sum()

    def epoch_means(self) -> dict[str, float]:
        """Return each term's mean over the cases since `reset_epoch_means`; waits for the device."""
        return self._means.values()

    def epoch_gradient_norms(self) -> dict[str, float]:
        """Return each trained term's mean gradient norm since `reset_epoch_means`, of the calls that measured it."""
        return self._norms.values()

    def reset_epoch_means(self) -> None:
        """Start the means of a new epoch."""
        self._means.reset()
        self._norms.reset()
        self._calls = 0

    def _is_due(self) -> bool:
        return self.gradient_interval is not None and self._calls % self.gradient_interval == 0

    def get_extra_state(self) -> dict[str, dict[str, float]]:
        """Return what `state_dict` holds besides tensors: the weights."""
        return {"weights": self.weights}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Restore the weights from `state_dict`."""
        self.weights = state["weights"]

    def extra_repr(self) -> str:
        """Name the weights."""
        return f"weights={self._weights}"


def _check_term(name: str, term: nn.Module) -> None:
    # nn.ModuleDict keeps terms as attributes, so a method's name would be taken twice.
    if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.ModuleDict, name):
        raise InvalidInputError(f"terms: found the name {name!r}; expected an identifier such as 'dice' or 'my_loss'.")
    if not isinstance(term, nn.Module):
        raise InvalidInputError(f"terms: {name} is {type(term).__name__}; expected a torch.nn.Module.")


def _detached(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in values.items()}


def _scalar(name: str, value: Tensor) -> Tensor:
    if value.ndim:
        raise InvalidInputError(
            f"loss term {name!r} returned shape {tuple(value.shape)}; expected a scalar. Hint: reduction='mean'."
        )
    return value
