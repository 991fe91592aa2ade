"""The error of a search space, and the hint for a misspelt word."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class SpaceError(ValueError):
    """A search space that cannot be used; carries every problem found, not only the first.

    Args:
        *problems: One line each, in the form ``where: what. Hint: what to do.``

    Example:
        >>> print(SpaceError("training.lr: named twice. Hint: keep one."))
        training.lr: named twice. Hint: keep one.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


@contextmanager
def gather(problems: list[str], where: str = "") -> Iterator[None]:
    """Add the problems of a `SpaceError` to a list and go on, so that one run of the reader finds them all.

    Args:
        problems: List that grows.
        where: Place to put in front of each problem.

    Example:
        >>> found = []
        >>> with gather(found, "training.lr: "):
        ...     raise SpaceError("log (1) must be true or false.")
        >>> found
        ['training.lr: log (1) must be true or false.']
    """
    try:
        yield
    except SpaceError as error:
        problems += [f"{where}{problem}" for problem in error.problems]


def hint_for(word: object, known: Iterable[str]) -> str:
    """Name the known word nearest to a misspelt one, or all of them.

    Example:
        >>> hint_for("opimizer", ["loss_weights", "optimizer"])
        'Hint: did you mean optimizer?'
    """
    words = list(known)
    near = difflib.get_close_matches(str(word), words, n=1)
    return f"Hint: did you mean {near[0]}?" if near else f"Hint: choose from {', '.join(words)}."
