"""What a row of a training's record says of its validation, each number from the same integer counts."""

from collections.abc import Sequence

from components.metrics import DiceScores, OverlapScores, ThresholdCounts, overlap_scores, sweep_threshold


def score_columns(scores: DiceScores, names: Sequence[str], scored: Sequence[bool]) -> dict[str, float]:
    """Dice, IoU, precision and recall by column.

    Args:
        scores: of the validation split.
        names: of the foreground classes.
        scored: whether each of them counts.

    Returns:
        `val_dice`, `val_dice_<class>`, `val_undefined` (pairs of case and class left out since both were empty), and
        `val_iou`, `val_precision`, `val_recall`; these of each class only where there are several.
    """
    columns: dict[str, float] = {
        "val_dice": scores.mean,
        **{f"val_dice_{name}": value for name, value in _of_classes(scores.per_class, names, scored)},
        "val_undefined": scores.undefined,
    }
    for metric, found in overlap_scores(scores.counts, scored).items():
        if metric != "dice":
            columns |= _overlap_columns(metric, found, names, scored)
    return columns


def threshold_columns(counted: ThresholdCounts, names: Sequence[str], scored: Sequence[bool]) -> dict[str, float]:
    """The threshold of the best Dice, and that Dice.

    They belong to the split that was counted; on other cases the gain is smaller.

    Args:
        counted: of the validation split.
        names: of the classes.
        scored: whether each of them counts.

    Returns:
        `val_threshold`, of each class (`val_threshold_<class>`) where there are several, and `val_dice_tuned`.
    """
    sweep = sweep_threshold(counted, scored)
    several = _of_classes(sweep.tuned, names, scored)
    tuned = {f"val_threshold_{name}": value for name, value in several}
    return (tuned if len(several) > 1 else {"val_threshold": several[0][1]}) | {"val_dice_tuned": sweep.dice_at_tuned}


def _overlap_columns(
    metric: str, found: OverlapScores, names: Sequence[str], scored: Sequence[bool]
) -> dict[str, float]:
    several = _of_classes(found.per_class, names, scored) if sum(scored) > 1 else []
    return {f"val_{metric}": found.mean, **{f"val_{metric}_{name}": value for name, value in several}}


def _of_classes(values: Sequence[float], names: Sequence[str], scored: Sequence[bool]) -> list[tuple[str, float]]:
    """Names and values of the classes that are scored."""
    return [(name, value) for name, value, counts in zip(names, values, scored, strict=True) if counts]
