"""The named kinds of loss terms, and one's own by dotted path."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from components.dotted import import_object
from components.errors import ComponentError, InvalidInputError
from components.losses._checks import listed, require_known
from components.losses.bce import EnhancedBCELoss
from components.losses.dice import EnhancedDiceLoss
from components.losses.inputs import Mode

_SMOOTHED = ("smooth_nr", "smooth_dr", "batch", "include_background", "class_weights")
_CROSS_ENTROPY = ("pos_weight", "label_smoothing", "class_weights")

# What builds each kind from a mode, and the options it takes besides the mode.
_KINDS: dict[str, tuple[Callable[..., nn.Module], tuple[str, ...]]] = {
    "dice": (partial(EnhancedDiceLoss, variant="dice"), _SMOOTHED),
    "jaccard": (partial(EnhancedDiceLoss, variant="jaccard"), _SMOOTHED),
    "tversky": (partial(EnhancedDiceLoss, variant="tversky"), ("alpha", "beta", *_SMOOTHED)),
    "focal_tversky": (partial(EnhancedDiceLoss, variant="focal_tversky"), ("alpha", "beta", "gamma", *_SMOOTHED)),
    "bce": (partial(EnhancedBCELoss, variant="bce"), _CROSS_ENTROPY),
    "ce": (partial(EnhancedBCELoss, variant="bce"), _CROSS_ENTROPY),
    "focal": (partial(EnhancedBCELoss, variant="focal"), ("alpha", "gamma", "label_smoothing", "class_weights")),
}

_IGNORE_HINT = " Hint: add an `ignore_index` argument (pixels whose target equals it must not count)."


def kinds() -> tuple[str, ...]:
    """Return the names of the built-in kinds."""
    return tuple(_KINDS)


def build_term(kind: str, mode: Mode, options: Mapping[str, Any], ignore_index: int | None = None) -> nn.Module:
    """Build one loss term.

    Args:
        kind: a name of `kinds()`, or `package.module:Class` for one's own.
        mode: what the channels mean; one's own class gets it if its constructor names `mode`.
        options: further constructor arguments.
        ignore_index: value of target pixels that must not count; one's own class gets it unless it is None.

    Raises:
        InvalidInputError: no such kind or option, an option's value does not fit, or one's own class cannot be told
            which pixels to ignore.
    """
    if isinstance(kind, str) and ":" in kind:
        return _build_own(kind, mode, options, ignore_index)
    if not isinstance(kind, str) or kind not in _KINDS:
        require_known("loss kind", kind, (*_KINDS, "package.module:Class"))
    if kind == "ce" and mode != "multiclass":
        raise InvalidInputError(f"loss kind 'ce': softmax needs exclusive classes, mode is {mode!r}. Hint: use 'bce'.")
    build, known = _KINDS[kind]
    for name in options:
        require_known(f"loss kind {kind!r}: option", name, known)
    return build(mode=mode, ignore_index=ignore_index, **options)


def _build_own(path: str, mode: Mode, options: Mapping[str, Any], ignore_index: int | None) -> nn.Module:
    build = _imported(path)
    given = {"mode": mode, **options} if _takes_mode(build) else dict(options)
    if ignore_index is not None:
        given.setdefault("ignore_index", ignore_index)
    # Building decides whether the options fit: a constructor with **options may hand them on to one that refuses.
    try:
        term = build(**given)
    except TypeError as error:
        hint = _IGNORE_HINT if "'ignore_index'" in str(error) else ""
        raise InvalidInputError(f"loss kind {path!r} with options {listed(given)}: {error}.{hint}") from error
    except ComponentError:
        raise
    except Exception as error:
        # A user's own code may raise anything; it is the same news: this term cannot be built.
        raised = f"{type(error).__name__}: {error}"
        raise InvalidInputError(f"loss kind {path!r} with options {listed(given)} raised {raised}.") from error
    if not isinstance(term, nn.Module):
        raise InvalidInputError(f"loss kind {path!r}: built {type(term).__name__}; expected a torch.nn.Module.")
    return term


def _takes_mode(build: Callable[..., Any]) -> bool:
    try:
        return "mode" in inspect.signature(build).parameters
    except (TypeError, ValueError):
        return False  # some builtins have no signature to look at


def _imported(path: str) -> Callable[..., Any]:
    found = import_object(path, "loss kind")
    if not callable(found):
        raise InvalidInputError(f"loss kind {path!r}: found {type(found).__name__}; expected a class.")
    return found  # type: ignore[no-any-return]  # callable() told so
