"""What an error suggests in place of a misspelt word."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a misspelt word: the nearest known one, or all of them.

    Example:
        >>> nearest("standart", ["none", "flip", "standard"])
        'Hint: did you mean standard?'
    """
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1)
    return f"Hint: did you mean {close[0]}?" if close else f"Hint: there are {', '.join(words)}."
