"""A small declarative language for search spaces, presets and baselines, and their translation to Optuna.

Example:
    >>> space = Space.from_config({"presets": ["loss_weights", "optimizer"]})
    >>> space.parameters[0].name
    'loss.weights'
"""

from typing import TYPE_CHECKING, Any

from search_spaces.baselines import Baseline, baselines, nnunet_baseline, select_baselines
from search_spaces.derived import Derived
from search_spaces.distributions import Choice, Distribution, Float, Int
from search_spaces.errors import SpaceError
from search_spaces.parameter import Parameter, When
from search_spaces.presets import PRESETS
from search_spaces.simplex import Simplex, simplex_uniforms, simplex_weights
from search_spaces.space import Space, preset

if TYPE_CHECKING:
    from search_spaces.sampler import make_sampler

__all__ = [
    "PRESETS",
    "Baseline",
    "Choice",
    "Derived",
    "Distribution",
    "Float",
    "Int",
    "Parameter",
    "Simplex",
    "Space",
    "SpaceError",
    "When",
    "baselines",
    "make_sampler",
    "nnunet_baseline",
    "preset",
    "select_baselines",
    "simplex_uniforms",
    "simplex_weights",
]


def __getattr__(name: str) -> Any:
    """Load the sampler on first use, since it is what needs Optuna (PEP 562)."""
    if name == "make_sampler":
        from search_spaces.sampler import make_sampler  # noqa: PLC0415  # reading a study file needs no Optuna

        return make_sampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
