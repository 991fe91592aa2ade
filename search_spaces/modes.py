"""The kinds of segmentation, and how each names its cross-entropy."""

from search_spaces.errors import SpaceError, hint_for

BINARY = "binary"
MULTILABEL = "multilabel"
MULTICLASS = "multiclass"
_CROSS_ENTROPY = {BINARY: "bce", MULTILABEL: "bce", MULTICLASS: "ce"}


def cross_entropy_term(mode: str) -> str:
    """Name the cross-entropy term of the mode: ``bce`` for masks, ``ce`` for classes.

    Raises:
        SpaceError: If there is no such mode.

    Example:
        >>> cross_entropy_term("multiclass")
        'ce'
    """
    if mode not in _CROSS_ENTROPY:
        raise SpaceError(f"mode: {mode!r} is unknown. {hint_for(mode, _CROSS_ENTROPY)}")
    return _CROSS_ENTROPY[mode]
