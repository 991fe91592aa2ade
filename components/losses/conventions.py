"""How libraries differ in Dice and its relatives, and in focal loss, as one table.

`docs/reference/conventions.md` shows the same batch under each.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from components.errors import InvalidInputError
from components.losses._checks import listed, require_known
from components.losses.inputs import MODES, Mode

ConventionName = Literal["segtune", "monai", "smp", "nnunet", "toolbelt"]
FocalRule = Literal["pixels", "entries", "one_vs_rest"]


@dataclass(frozen=True)
class Convention:
    """The rules of one library and the defaults of its options; those that a loss is given come before the defaults.

    A region's loss is `offset` - (numerator + smooth_nr) / max(denominator + smooth_dr, floor).

    Attributes:
        library: name and version whose numbers these are.
        variants: of `EnhancedDiceLoss` that the library has.
        smooth: default of `smooth_nr` and `smooth_dr`.
        floor: the denominator's least value; 0 for none.
        batch: whether sums are pooled over the batch by default.
        background: whether class 0 counts by default in `multiclass`.
        empty_is_zero: a region whose truth is empty costs 0 but stays in the mean.
        offset: 1, or 0 where the library returns the negative score.
        jaccard_factor: of numerator and denominator in the Jaccard score; smoothing counts 1/factor.
        alpha: default weight of false positives.
        beta: default weight of false negatives.
        focal_modes: in which the library's focal loss is reproduced.
        focal: in `multiclass`, whether softmax focal is the mean over pixels or over the entries of the logits, or
            the mean over classes of sigmoid focal against the rest.
    """

    library: str
    variants: tuple[str, ...]
    smooth: float
    floor: float
    batch: bool
    background: bool
    empty_is_zero: bool
    offset: float
    jaccard_factor: float
    alpha: float
    beta: float
    focal_modes: tuple[Mode, ...]
    focal: FocalRule = "pixels"


_CONVENTIONS: dict[ConventionName, Convention] = {
    "segtune": Convention(
        library="segtune",
        variants=("dice", "jaccard", "tversky", "focal_tversky"),
        smooth=1e-5,
        floor=0.0,
        batch=False,
        background=True,
        empty_is_zero=False,
        offset=1.0,
        jaccard_factor=2.0,
        alpha=0.3,
        beta=0.7,
        focal_modes=MODES,
    ),
    "monai": Convention(  # DiceLoss, TverskyLoss, FocalLoss
        library="MONAI 1.6",
        variants=("dice", "jaccard", "tversky"),
        smooth=1e-5,
        floor=0.0,
        batch=False,
        background=True,
        empty_is_zero=False,
        offset=1.0,
        jaccard_factor=2.0,
        alpha=0.5,
        beta=0.5,
        focal_modes=MODES,
        focal="entries",
    ),
    "smp": Convention(  # DiceLoss, JaccardLoss, TverskyLoss (gamma 1), FocalLoss
        library="segmentation-models-pytorch 0.6",
        variants=("dice", "jaccard", "tversky"),
        smooth=0.0,
        floor=1e-7,
        batch=True,
        background=True,
        empty_is_zero=True,
        offset=1.0,
        jaccard_factor=1.0,
        alpha=0.5,
        beta=0.5,
        focal_modes=MODES,
        focal="one_vs_rest",
    ),
    "nnunet": Convention(  # MemoryEfficientSoftDiceLoss as the trainer builds it
        library="nnU-Net v2",
        variants=("dice",),
        smooth=1e-5,
        floor=1e-8,
        batch=False,
        background=False,
        empty_is_zero=False,
        offset=0.0,
        jaccard_factor=1.0,
        alpha=0.5,
        beta=0.5,
        focal_modes=(),
    ),
    "toolbelt": Convention(  # DiceLoss, JaccardLoss, BinaryFocalLoss
        library="pytorch-toolbelt",
        variants=("dice", "jaccard"),
        smooth=0.0,
        floor=1e-7,
        batch=True,
        background=True,
        empty_is_zero=True,
        offset=1.0,
        jaccard_factor=1.0,
        alpha=0.5,
        beta=0.5,
        focal_modes=("binary", "multilabel"),
    ),
}


def dice_convention(name: ConventionName, variant: str) -> Convention:
    """Return a library's rules for Dice or a relative.

    Raises:
        InvalidInputError: no such convention, or the library has no such variant.
    """
    found = _named(name)
    if variant not in found.variants:
        raise InvalidInputError(
            f"convention: {found.library} has no variant {variant!r}, only {listed(found.variants)}. "
            "Hint: leave the convention out."
        )
    return found


def focal_convention(name: ConventionName, mode: Mode) -> Convention:
    """Return a library's rules for focal loss.

    Raises:
        InvalidInputError: no such convention, or none for focal loss in this mode.
    """
    found = _named(name)
    if mode not in found.focal_modes:
        raise InvalidInputError(
            f"convention: the focal loss of {found.library} is not reproduced in mode {mode!r}; "
            f"modes are {listed(found.focal_modes)}. Hint: leave the convention out."
        )
    return found


def _named(name: ConventionName) -> Convention:
    require_known("convention", name, get_args(ConventionName))
    return _CONVENTIONS[name]
