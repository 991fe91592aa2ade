"""A search space: ordered parameters, read from the study file or written in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces.config import read_parameters
from search_spaces.counting import count_settings
from search_spaces.derived import Derived
from search_spaces.errors import SpaceError
from search_spaces.modes import BINARY
from search_spaces.order import drawing_order
from search_spaces.parameter import Parameter, find_problems
from search_spaces.points import parts_of
from search_spaces.presets import preset_parameters
from search_spaces.translation import optuna_distribution, suggest_value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Space:
    r"""What a study searches.

    Args:
        parameters: Each name once; a condition names a Choice or Int of the same space.

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
        drawing_order(self.parameters)  # refuses circles

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
        return self._draw(lambda p: suggest_value(trial, p.name, p.distribution))

    def _draw(self, draw: Callable[[Parameter], Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for p in drawing_order(self.parameters):
            if p.when is not None and (p.when.parameter not in values or not p.when.holds(values[p.when.parameter])):
                continue
            if not isinstance(p.distribution, Derived):
                values[p.name] = draw(p)
            elif p.distribution.source in values:
                values[p.name] = p.distribution.value([values[p.distribution.source]])
        return {p.name: values[p.name] for p in self.parameters if p.name in values}

    def parts(self, settings: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
        """Give the Optuna parameters under which `suggest` draws these settings.

        Args:
            settings: Values by dotted path; a simplex as ``{term: weight}``.
            whole: Whether every parameter must be given; others of the settings are then left aside.

        Raises:
            SpaceError: If a value lies outside the space; with all problems.

        Example:
            >>> preset("loss_weights").parts({"loss.weights": {"dice": 0.5, "bce": 0.25, "focal": 0.25}})
            {'loss.weights~dice': 0.75, 'loss.weights~bce': 0.5}
        """
        return parts_of(self.parameters, settings, whole=whole)

    def holding(self, name: str) -> dict[str, Any]:
        """Give values of other parameters under which this one is sampled; none for one that always is."""
        when = next(p.when for p in self.parameters if p.name == name)
        return {} if when is None else {**self.holding(when.parameter), when.parameter: when.values[0]}

    def size(self) -> float:
        """Count the different settings; infinite where a number is not stepped.

        Example:
            >>> Space.from_config({"parameters": {"training.batch": {"int": [4, 16], "step": 4}}}).size()
            4.0
        """
        return count_settings(self.parameters)

    def examples(self, count: int, seed: int = 0) -> list[dict[str, Any]]:
        """Draw settings at random, as a study with the random sampler does in its first trials.

        Args:
            count: How many.
            seed: The study's seed.

        Example:
            >>> [sorted(setting) for setting in preset("optimizer").examples(1)]
            [['training.lr', 'training.momentum', 'training.optimizer', 'training.weight_decay']]
        """
        import optuna  # noqa: PLC0415  # reading a study file needs no Optuna

        from search_spaces.sampler import make_sampler  # noqa: PLC0415

        study = optuna.create_study()
        settings = []
        for number in range(count):
            study.sampler = make_sampler("random", seed, number)
            settings.append(self.suggest(study.ask()))
        return settings

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
