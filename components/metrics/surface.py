"""How well boundaries fit: normalised surface Dice and the 95th percentile of the Hausdorff distance, by MONAI."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from components.errors import InvalidInputError
from components.metrics.dice import Mode
from components.metrics.overlap import Values

Mask = npt.NDArray[np.uint8]
_PERCENTILE = 95.0


@dataclass(frozen=True)
class CaseScores:
    """One surface metric over a split.

    Attributes:
        mean: over cases, then over the scored classes that have a defined case; NaN without any.
        per_class: mean over the defined cases of each foreground class; NaN for one that has none or is not scored.
        per_case: `(cases, classes)` float64; NaN where undefined.
        undefined: number of (case, scored class) pairs left out.
    """

    mean: float
    per_class: tuple[float, ...]
    per_case: Values
    undefined: int


@dataclass(frozen=True)
class SurfaceScores:
    """Surface metrics of a split.

    Attributes:
        nsd: normalised surface Dice, 0 to 1; where truth or prediction alone is empty it is 0.
        hd95: in pixels, or in the unit of the spacings; defined where neither truth nor prediction is empty.
        missed: number of (case, scored class) pairs with truth and no prediction, which HD95 cannot tell.
        spurious: number of pairs with a prediction and no truth, which it cannot tell either.
    """

    nsd: CaseScores
    hd95: CaseScores
    missed: int
    spurious: int


def surface_scores(
    predicted: Sequence[Mask],
    truth: Sequence[Mask],
    *,
    mode: Mode,
    classes: int,
    tolerance: float,
    spacings: Sequence[Sequence[float]] | None = None,
    ignore_index: int | None = None,
    scored: Sequence[bool] | None = None,
) -> SurfaceScores:
    """Compare the boundaries of predicted and true masks, a case and class at a time.

    NSD (Nikolov et al. 2021) is the share of both boundaries that lies within the tolerance of the other one. HD95 is
    the larger of the two directed distances' 95th percentiles. A boundary is the mask's pixels that have a
    neighbour outside it (an axis' neighbour; the image's border counts as outside). MONAI's HD95 leaves missed cases
    out (MONAI #9095), so that it improves as less is found: read it with `missed`, or prefer NSD.

    Args:
        predicted: of each case, class indices `(*spatial)` for multiclass, else 0/1 `(C, *spatial)`; 2D or 3D.
        truth: in the same shapes.
        mode: what the masks mean.
        classes: number of foreground classes.
        tolerance: of NSD, in pixels, or in the unit of the spacings.
        spacings: of each case, the distance of its pixels along each axis; None for 1.
        ignore_index: value of true pixels that count as background in both masks.
        scored: whether each foreground class counts; None for all.

    Raises:
        InvalidInputError: the tolerance is negative or not finite, the numbers or shapes of masks do not fit, or a
            spacing is not one positive number an axis.

    Example:
        >>> mask = np.zeros((1, 8, 8), np.uint8)
        >>> mask[0, 2:6, 2:6] = 1
        >>> found = surface_scores([np.roll(mask, 1, 1)], [mask], mode="binary", classes=1, tolerance=1.0)
        >>> found.nsd.mean, found.hd95.mean
        (1.0, 1.0)
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise InvalidInputError(f"tolerance: found {tolerance}; expected a finite number of at least 0.")
    flags = np.ones(classes, dtype=bool) if scored is None else np.asarray(scored, dtype=bool)
    _check(predicted, truth, mode, classes, flags, spacings)
    nsd, hd95 = np.full((2, len(truth), classes), np.nan)
    held = np.zeros((2, len(truth), classes), dtype=bool)  # by prediction and by truth
    for case, (ours, theirs) in enumerate(zip(predicted, truth, strict=True)):
        ignored = np.zeros_like(theirs, dtype=bool) if ignore_index is None else theirs == ignore_index
        for index in np.flatnonzero(flags).tolist():
            labelled = ~(ignored if mode == "multiclass" else ignored[index])
            pair = [_of_class(mask, index, mode) & labelled for mask in (ours, theirs)]
            held[:, case, index] = [mask.any() for mask in pair]
            if held[:, case, index].all():
                spacing = None if spacings is None else tuple(map(float, spacings[case]))
                nsd[case, index], hd95[case, index] = _compare(*pair, tolerance=tolerance, spacing=spacing)
            elif held[:, case, index].any():
                nsd[case, index] = 0.0
    return SurfaceScores(
        nsd=_average(nsd, flags),
        hd95=_average(hd95, flags),
        missed=int((held[1] & ~held[0]).sum()),
        spurious=int((held[0] & ~held[1]).sum()),
    )


def _average(per_case: Values, scored: npt.NDArray[np.bool_]) -> CaseScores:
    defined = ~np.isnan(per_case)
    cases = defined.sum(axis=0)
    per_class = np.where(scored & (cases > 0), np.nansum(per_case, axis=0) / np.maximum(cases, 1), np.nan)
    found = per_class[~np.isnan(per_class)]
    return CaseScores(
        mean=float(found.mean()) if found.size else float("nan"),
        per_class=tuple(float(value) for value in per_class),
        per_case=per_case,
        undefined=int((~defined[:, scored]).sum()),
    )


def _compare(
    predicted: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    *,
    tolerance: float,
    spacing: tuple[float, ...] | None,
) -> tuple[float, float]:
    """NSD and HD95 of two masks, neither of them empty."""
    # Within the function: MONAI takes half a second to load.
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance  # noqa: PLC0415
    from monai.metrics.surface_dice import compute_surface_dice  # noqa: PLC0415

    ours, theirs = (torch.from_numpy(mask)[None, None] for mask in (predicted, truth))
    with warnings.catch_warnings():
        # MONAI 1.6 hands its own functions an argument that it has deprecated.
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy", category=FutureWarning)
        nsd = compute_surface_dice(ours, theirs, [tolerance], include_background=True, spacing=spacing)
        hd95 = compute_hausdorff_distance(
            ours, theirs, include_background=True, percentile=_PERCENTILE, spacing=spacing
        )
    return float(nsd), float(hd95)


def _of_class(mask: Mask, index: int, mode: Mode) -> npt.NDArray[np.bool_]:
    chosen: npt.NDArray[np.bool_] = mask == index + 1 if mode == "multiclass" else mask[index] == 1
    return chosen


def _check(
    predicted: Sequence[Mask],
    truth: Sequence[Mask],
    mode: Mode,
    classes: int,
    flags: npt.NDArray[np.bool_],
    spacings: Sequence[Sequence[float]] | None,
) -> None:
    if flags.shape != (classes,) or not flags.any():
        raise InvalidInputError(f"scored: found {flags.tolist()}; expected {classes} flags, at least one of them True.")
    if not truth or len(predicted) != len(truth) or len(spacings or truth) != len(truth):
        raise InvalidInputError(
            f"found {len(predicted)} predicted and {len(truth)} true masks"
            + ("" if spacings is None else f" and {len(spacings)} spacings")
            + "; expected one of each for every case."
        )
    for case, (ours, theirs) in enumerate(zip(predicted, truth, strict=True)):
        spatial = theirs.shape if mode == "multiclass" else theirs.shape[1:]
        if ours.shape != theirs.shape or len(spatial) not in (2, 3) or theirs.size == 0:
            raise InvalidInputError(
                f"case {case}: found a predicted mask {ours.shape} and a true one {theirs.shape}; expected the same "
                "shape, of 2 or 3 spatial axes."
            )
        if spacings is not None and (len(spacings[case]) != len(spatial) or min(spacings[case]) <= 0):
            raise InvalidInputError(
                f"case {case}: found spacing {tuple(spacings[case])}; expected {len(spatial)} positive numbers."
            )
