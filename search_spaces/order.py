"""What hangs on what in a space: an order in which every parameter comes after those that decide on it."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from search_spaces.derived import Derived
from search_spaces.errors import SpaceError
from search_spaces.parameter import Parameter


def decided_by(parameter: Parameter) -> list[str]:
    """Names of the parameters whose values must be known first: of its condition, and of what it is derived from."""
    condition = [parameter.when.parameter] if parameter.when is not None else []
    return condition + ([parameter.distribution.source] if isinstance(parameter.distribution, Derived) else [])


def drawing_order(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Sort parameters so that each comes after those that decide on it; else in the order of the space.

    Raises:
        SpaceError: If parameters decide on each other in a circle.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    graph = {p.name: [name for name in decided_by(p) if name in by_name] for p in parameters}
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise SpaceError(f"{error.args[1][0]}: decides on itself: {circle}. Hint: break the circle.") from None
    place, ordered = {name: index for index, name in enumerate(by_name)}, []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        ordered += [by_name[name] for name in ready]
        sorter.done(*ready)
    return tuple(ordered)
