"""The named kinds of loss terms, and one's own by dotted path."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from components.dotted import import_object
from components.errors import ComponentError, InvalidInputError
from components.losses._checks import listed, require_known
from components.losses.bce import EnhancedBCELoss
from components.losses.dice import EnhancedDiceLoss
from components.losses.distance import BoundaryLoss, HausdorffLoss
from components.losses.generalized import GeneralizedDiceLoss
from components.losses.inputs import MODES, Mode
from components.losses.log_cosh import LogCoshDiceLoss
from components.losses.lovasz import LovaszLoss
from components.losses.matthews import MatthewsLoss
from components.losses.semimetric import DiceSemimetricLoss
from components.losses.skeleton import ClDiceLoss, SkeletonRecallLoss
from components.losses.squared import SquaredDiceLoss
from components.losses.topk import TopKLoss
from components.losses.unified_focal import UnifiedFocalLoss
from components.mask_policy import MaskPolicy, checked_policy

_CLASSES = ("include_background", "class_weights")
_SMOOTHED = ("smooth_nr", "smooth_dr", "batch", *_CLASSES)
_OVERLAP = ("convention", *_SMOOTHED)
_CROSS_ENTROPY = ("pos_weight", "label_smoothing", "class_weights")


@dataclass(frozen=True)
class Kind:
    """What a name of a loss term stands for.

    Attributes:
        build: makes the term from `mode`, `ignore_index`, `policy` and options.
        options: the names of these options.
        modes: for which it makes sense.
        reason: why not for the others, with a hint.
        soft_labels: whether targets between 0 and 1 mean what they say; otherwise they are cut at ½.
    """

    build: Callable[..., nn.Module]
    options: tuple[str, ...]
    modes: tuple[Mode, ...] = MODES
    reason: str = ""
    soft_labels: bool = True


_KINDS: dict[str, Kind] = {
    "dice": Kind(partial(EnhancedDiceLoss, variant="dice"), _OVERLAP),
    "jaccard": Kind(partial(EnhancedDiceLoss, variant="jaccard"), _OVERLAP),
    "tversky": Kind(partial(EnhancedDiceLoss, variant="tversky"), ("alpha", "beta", *_OVERLAP)),
    "focal_tversky": Kind(partial(EnhancedDiceLoss, variant="focal_tversky"), ("alpha", "beta", "gamma", *_SMOOTHED)),
    "squared_dice": Kind(SquaredDiceLoss, _SMOOTHED),
    "log_cosh_dice": Kind(LogCoshDiceLoss, _SMOOTHED),
    "generalized_dice": Kind(GeneralizedDiceLoss, ("smooth_nr", "smooth_dr", "batch", "include_background")),
    "dice_semimetric": Kind(DiceSemimetricLoss, _SMOOTHED),
    "mcc": Kind(MatthewsLoss, _SMOOTHED),
    "lovasz": Kind(LovaszLoss, ("per_image", "classes", *_CLASSES), soft_labels=False),
    "bce": Kind(partial(EnhancedBCELoss, variant="bce"), _CROSS_ENTROPY),
    "ce": Kind(
        partial(EnhancedBCELoss, variant="bce"),
        _CROSS_ENTROPY,
        modes=("multiclass",),
        reason="softmax needs exclusive classes, mode is {mode!r}. Hint: use 'bce'.",
    ),
    "focal": Kind(
        partial(EnhancedBCELoss, variant="focal"), ("alpha", "gamma", "label_smoothing", "class_weights", "convention")
    ),
    "topk": Kind(TopKLoss, ("share", "class_weights")),
    "asymmetric_focal": Kind(partial(UnifiedFocalLoss, weight=0.0, delta=0.7, gamma=2.0), ("delta", "gamma")),
    "asymmetric_focal_tversky": Kind(
        partial(UnifiedFocalLoss, weight=1.0, delta=0.7, gamma=0.75), ("delta", "gamma", "smooth")
    ),
    "unified_focal": Kind(UnifiedFocalLoss, ("weight", "delta", "gamma", "smooth")),
    "hausdorff": Kind(HausdorffLoss, ("alpha", *_CLASSES)),
    "boundary": Kind(BoundaryLoss, _CLASSES, soft_labels=False),
    "cldice": Kind(ClDiceLoss, ("iterations", "smooth", "batch", *_CLASSES)),
    "skeleton_recall": Kind(
        SkeletonRecallLoss, ("iterations", "tube", "smooth", "batch", "class_weights"), soft_labels=False
    ),
}

_IGNORE_HINT = " Hint: add an `ignore_index` argument (pixels whose target equals it must not count)."


def kinds() -> tuple[str, ...]:
    """Return the names of the built-in kinds."""
    return tuple(_KINDS)


def built_in(kind: str) -> Kind:
    """Return what a built-in kind is.

    Raises:
        InvalidInputError: no such kind.
    """
    require_known("loss kind", kind, tuple(_KINDS))
    return _KINDS[kind]


def build_term(
    kind: str,
    mode: Mode,
    options: Mapping[str, Any],
    ignore_index: int | None = None,
    policy: MaskPolicy | None = None,
) -> nn.Module:
    """Build one loss term.

    Args:
        kind: a name of `kinds()`, or `package.module:Class` for one's own.
        mode: what the channels mean; one's own class gets it if its constructor names `mode`.
        options: further constructor arguments.
        ignore_index: value of target pixels that must not count; one's own class gets it unless it is None.
        policy: what empty masks, absent classes, ignored pixels and soft labels mean; one's own class gets its
            `ignore_index`, and the policy if its constructor names `policy`.

    Raises:
        InvalidInputError: no such kind or option, an option's value does not fit, or one's own class cannot be told
            which pixels to ignore.
    """
    if isinstance(kind, str) and ":" in kind:
        return _build_own(kind, mode, options, checked_policy(policy, ignore_index, mode))
    if not isinstance(kind, str) or kind not in _KINDS:
        require_known("loss kind", kind, (*_KINDS, "package.module:Class"))
    found = _KINDS[kind]
    if mode not in found.modes:
        raise InvalidInputError(f"loss kind {kind!r}: {found.reason.format(mode=mode)}")
    for name in options:
        require_known(f"loss kind {kind!r}: option", name, found.options)
    return found.build(mode=mode, ignore_index=ignore_index, policy=policy, **options)


def _build_own(path: str, mode: Mode, options: Mapping[str, Any], policy: MaskPolicy) -> nn.Module:
    build = _imported(path)
    names = _arguments(build)
    given = {name: value for name, value in (("mode", mode), ("policy", policy)) if name in names} | dict(options)
    if policy.ignore_index is not None:
        given.setdefault("ignore_index", policy.ignore_index)
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


def _arguments(build: Callable[..., Any]) -> Collection[str]:
    try:
        return inspect.signature(build).parameters.keys()
    except (TypeError, ValueError):
        return ()  # some builtins have no signature to look at


def _imported(path: str) -> Callable[..., Any]:
    found = import_object(path, "loss kind")
    if not callable(found):
        raise InvalidInputError(f"loss kind {path!r}: found {type(found).__name__}; expected a class.")
    return found  # type: ignore[no-any-return]  # callable() told so
