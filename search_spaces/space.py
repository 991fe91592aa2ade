"""A search space: ordered parameters, read from the study file or written in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces.config import read_parameters
from search_spaces.errors import SpaceError
from search_spaces.modes import BINARY
from search_spaces.parameter import Parameter, find_problems
from search_spaces.presets import preset_parameters
from search_spaces.translation import optuna_distribution, suggest_value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Space:
    r"""What a study searches.

    Args:
        parameters: Each name once; a condition names an unconditional Choice or Int of the same space.

    Raises:
        SpaceError: With all problems, one a line.

    Example:
        >>> from search_spaces import Float, Parameter
        >>> space = Space((Parameter("training.lr", Float(1e-4, 1e-2, log=True)),)) + preset("loss_weights")
        >>> print(*space.describe(), sep="\n")
        training.lr   float 0.0001 to 0.01, log scale
        loss.weights  weights of dice, bce, focal with sum 1, under 0.02 becomes 0
    """

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        if problems := find_problems(self.parameters):
            raise SpaceError(*problems)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, mode: str = BINARY) -> Space:
        """Read the section ``search.space`` of a study file: ``presets`` and ``parameters``.

        A parameter named explicitly replaces the one of the same name from a preset. Bounds that YAML reads as
        text, as ``1e-4``, are taken for the numbers they are.

        Args:
            config: The section as nested mappings.
            mode: ``binary`` or ``multiclass``; the presets name their terms by it.

        Raises:
            SpaceError: With all problems of the section, one a line.

        Example:
            >>> len(Space.from_config({"presets": "optimizer", "parameters": {"training.batch": {"int": [4, 16]}}}))
            5
        """
        return cls(read_parameters(config, mode))

    def to_config(self) -> dict[str, Any]:
        """Give the form that `from_config` reads; presets are written out as their parameters."""
        return {"parameters": {parameter.name: parameter.to_config() for parameter in self.parameters}}

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Sample every parameter whose condition holds.

        Takes any Optuna trial: one just asked for, one brought back from the journal, or a finished one, whose
        values it then gives again (so a report reads weights and not the uniform numbers behind them).

        Args:
            trial: The trial to sample for.

        Returns:
            Values by dotted path, in the order of the space, to lay over the study's settings.
        """
        values = {p.name: suggest_value(trial, p.name, p.distribution) for p in self.parameters if p.when is None}
        for p in self.parameters:
            if p.when is not None and values[p.when.parameter] in p.when.values:
                values[p.name] = suggest_value(trial, p.name, p.distribution)
        return {p.name: values[p.name] for p in self.parameters if p.name in values}

    def distributions(self) -> dict[str, BaseDistribution]:
        """Give the Optuna parameters that `suggest` may create, by name; a simplex of K terms has K-1 of them."""
        return {
            name: optuna_distribution(part)
            for parameter in self.parameters
            for name, part in parameter.distribution.parts(parameter.name).items()
        }

    def describe(self) -> list[str]:
        """Give one line for each parameter: name, range and condition."""
        width = max((len(parameter.name) for parameter in self.parameters), default=0)
        return [f"{parameter.name:<{width}}  {parameter.describe()}" for parameter in self.parameters]

    def __add__(self, other: Space) -> Space:
        """Join two spaces; a name in both is refused."""
        return Space((*self.parameters, *other.parameters))

    def __len__(self) -> int:
        return len(self.parameters)


def preset(name: str, *, mode: str = BINARY) -> Space:
    """Give a ready-made space; `search_spaces.PRESETS` says what there is.

    Args:
        name: One of `search_spaces.PRESETS`.
        mode: ``binary`` or ``multiclass``.

    Raises:
        SpaceError: If there is no such preset or mode.

    Example:
        >>> preset("loss_weights", mode="multiclass").describe()
        ['loss.weights  weights of dice, ce, focal with sum 1, under 0.02 becomes 0']
    """
    return Space(preset_parameters(name, mode))
