"""From settings back to what Optuna samples: for points to try first, and for what other studies tried."""

from collections.abc import Mapping
from typing import Any

from search_spaces.derived import Derived
from search_spaces.distributions import Float
from search_spaces.errors import SpaceError, hint_for
from search_spaces.order import drawing_order
from search_spaces.parameter import Parameter
from search_spaces.ranges import is_number
from search_spaces.simplex import Simplex, simplex_uniforms


def parts_of(parameters: tuple[Parameter, ...], settings: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Give the Optuna parameters under which the space draws these settings.

    Args:
        parameters: Of the space.
        settings: Values by dotted path.
        whole: Refuse settings that leave out a parameter that would be drawn, and leave aside those that would not be;
            else what is left out is left to the sampler, and what is not drawn is refused.

    Raises:
        SpaceError: With all problems.
    """
    problems, parts, known = [], dict[str, Any](), {parameter.name for parameter in parameters}
    if not whole:
        problems += [
            f"{name}: is no parameter of this space. {hint_for(name, known)}" for name in settings if name not in known
        ]
    for parameter in drawing_order(parameters):
        given, name = parameter.name in settings, parameter.name
        drawn = parameter.when is None or parameter.when.holds(settings.get(parameter.when.parameter, _MISSING))
        if isinstance(parameter.distribution, Derived) or (given and not drawn):
            if given and not whole:
                problems.append(f"{name}: is not drawn here, it is {parameter.describe()}. Hint: leave it out.")
        elif given:
            try:
                parts |= _parts(parameter, settings[name])
            except (ValueError, TypeError, AttributeError) as error:
                found = f"found {settings[name]!r}, it is {parameter.describe()}."
                problems.append(f"{name}: {found}" if not isinstance(error, SpaceError) else f"{name}: {error}")
        elif whole and drawn:
            problems.append(f"{name}: is left out.")
    if problems:
        raise SpaceError(*problems)
    return parts


def _parts(parameter: Parameter, value: Any) -> dict[str, Any]:
    distribution = parameter.distribution
    values = [value]
    if isinstance(distribution, Simplex):
        if unknown := [term for term in value if term not in distribution.terms]:
            raise SpaceError(f"has no term {unknown[0]!r}. {hint_for(unknown[0], distribution.terms)}")
        values = list(simplex_uniforms([float(value.get(term, 0)) for term in distribution.terms]))
    parts = dict(zip(distribution.parts(parameter.name), values, strict=False))
    for name, part in distribution.parts(parameter.name).items():
        if not (_lies_in(parts[name], part) if isinstance(part, Float) else parts[name] in part):
            raise ValueError(name)
    return parts


def _lies_in(value: object, part: Float) -> bool:
    if not is_number(value) or not part.low <= value <= part.high:
        return False
    steps = 0.0 if part.step is None else (value - part.low) / part.step
    return abs(steps - round(steps)) < _TOLERANCE


_TOLERANCE = 1e-6  # of a step, as rounding leaves it
_MISSING = object()  # equal to no value of a condition, not even to None
