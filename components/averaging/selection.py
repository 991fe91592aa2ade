"""Which of several networks to average: greedy forward selection with replacement on held-out predictions."""

from collections import Counter
from collections.abc import Callable, Sequence

from components.errors import InvalidInputError

_LEAST_GAIN = 1e-4  # of the score; less is noise, and each member costs a pass


def select_members(count: int, score: Callable[[Sequence[int]], float], *, most: int = 8) -> Counter[int]:
    """Choose members whose averaged predictions score best together (Caruana et al., ICML 2004).

    Begins with the best single one and adds, as long as it gains, the one that helps most; one may come several times,
    which gives it that weight.

    Args:
        count: of the candidates.
        score: of the mean prediction of some candidates, by their places, on held-out cases; higher is better.
        most: members in all, repetitions counted.

    Returns:
        How often each chosen candidate counts.

    Raises:
        InvalidInputError: there is no candidate.

    Example:
        >>> values = [0.0, 3.0, 8.0]
        >>> dict(select_members(3, lambda places: -abs(4 - sum(values[place] for place in places) / len(places))))
        {1: 4, 2: 1}
    """
    if not count:
        raise InvalidInputError("members: there is no candidate.")
    chosen: list[int] = []
    best = float("-inf")
    while len(chosen) < most:
        scores = [score([*chosen, place]) for place in range(count)]
        place = max(range(count), key=scores.__getitem__)
        if scores[place] < best + _LEAST_GAIN:
            break
        best = scores[place]
        chosen.append(place)
    return Counter(chosen)
