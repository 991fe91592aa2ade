"""Terms of a combined loss through `torch.compile`, and without it where it does not work."""

import warnings
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from components.losses.shared_sums import term_values

_Values = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


class CompiledTerms:
    """Computes what `term_values` does in code made for it.

    The first call of a process compiles, which takes seconds; torch keeps what it made on disk for later ones. Where
    compiling fails (no C++ compiler, a term that cannot be traced), a warning says why and the terms are computed as
    without it from then on. Values may differ from those without it in the last digits.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[tuple[str, int], ...], frozenset[str]], _Values] = {}
        self._works = True

    def __reduce__(self) -> tuple[type["CompiledTerms"], tuple[()]]:
        """Leave the compiled code behind in copies and pickles."""
        return CompiledTerms, ()

    def __call__(
        self, terms: Mapping[str, nn.Module], logits: Tensor, target: Tensor, *, without_gradient: Collection[str] = ()
    ) -> dict[str, Tensor]:
        """Return each term's value; arguments as of `term_values`."""
        if self._works:
            key = (tuple((name, id(term)) for name, term in terms.items()), frozenset(without_gradient))
            if key not in self._made:
                self._made[key] = _compiled(dict(terms), key[1])
            try:
                return dict(zip(terms, self._made[key](logits, target), strict=True))
            except Exception as error:  # noqa: BLE001 - a compiler may raise anything; a bad batch raises again below
                failure = error
        values = term_values(terms, logits, target, without_gradient=without_gradient)
        if self._works:
            self._works = False
            reason = str(failure).strip().partition("\n")[0]
            warnings.warn(
                f"the loss is not compiled: {type(failure).__name__}: {reason}. It is computed without it. "
                "Hint: on a CPU torch.compile needs a C++ compiler, such as g++.",
                RuntimeWarning,
                stacklevel=2,
            )
        return values


def _compiled(terms: dict[str, nn.Module], without_gradient: frozenset[str]) -> _Values:
    def values(logits: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return tuple(term_values(terms, logits, target, without_gradient=without_gradient).values())

    return torch.compile(values)
