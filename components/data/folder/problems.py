"""Collects what is wrong with a folder, so that a user sees all of it at once."""

from components.errors import InvalidInputError

_SHOWN = 20


class Problems:
    """A growing list of problems, one line each.

    Example:
        >>> problems = Problems()
        >>> problems.add("images/a.png: no mask of the same stem.")
        >>> problems.raise_if_any()  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        components.errors.InvalidInputError: images/a.png: no mask of the same stem.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """Note a problem."""
        self._lines.append(line)

    @property
    def full(self) -> bool:
        """Whether further problems are only counted, so that no hint needs to be looked for."""
        return len(self._lines) >= _SHOWN

    def raise_if_any(self) -> None:
        """Raise one error with every problem.

        Raises:
            InvalidInputError: there is one; of very many the first are shown.
        """
        if self._lines:
            more = len(self._lines) - _SHOWN
            raise InvalidInputError("\n".join(self._lines[:_SHOWN] + ([f"… and {more} more."] if more > 0 else [])))
