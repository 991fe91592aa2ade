"""A setting that follows from another one, as beta = 1 - alpha."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.distributions import Float
from search_spaces.errors import SpaceError
from search_spaces.ranges import is_number


@dataclass(frozen=True)
class Derived:
    """``offset + scale * source``: nothing is drawn for it, and it occurs where its source does.

    Args:
        source: Name of a Float, an Int or another derived number of the same space.
        scale: Finite factor, not 0.
        offset: Finite summand.

    Raises:
        SpaceError: If a number is none.

    Example:
        >>> Derived("loss.terms.tversky.alpha", scale=-1, offset=1).describe()
        '1 - loss.terms.tversky.alpha'
    """

    source: str
    scale: float = 1
    offset: float = 0

    def __post_init__(self) -> None:
        problems = [
            f"{word} ({value!r}) must be a finite number."
            for word, value in (("scale", self.scale), ("offset", self.offset))
            if not is_number(value)
        ]
        if not isinstance(self.source, str):
            problems.append(f"derived: must name one parameter, found {self.source!r}.")
        elif not problems and self.scale == 0:
            problems.append(f"scale (0) leaves nothing of {self.source}. Hint: set a single value in the study file.")
        if problems:
            raise SpaceError(*problems)

    def parts(self, name: str) -> Mapping[str, Float]:
        """See `search_spaces.distributions.Distribution.parts`: none."""
        del name
        return {}

    def value(self, sampled: Sequence[Any]) -> Any:
        """Make the value of the source's; whole where all three numbers are."""
        return self.offset + self.scale * sampled[0]

    def describe(self) -> str:
        """See `search_spaces.distributions.Distribution.describe`."""
        size = "" if abs(self.scale) == 1 else f"{abs(self.scale):g} * "
        if self.offset:
            return f"{self.offset:g} {'-' if self.scale < 0 else '+'} {size}{self.source}"
        return f"{'-' if self.scale < 0 else ''}{size}{self.source}"

    def to_config(self) -> dict[str, Any]:
        """See `search_spaces.distributions.Distribution.to_config`."""
        scale = {} if self.scale == 1 else {"scale": self.scale}
        return {"derived": self.source, **scale, **({"offset": self.offset} if self.offset else {})}
