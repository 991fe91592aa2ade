"""Surface metrics of a fold's best checkpoint, from the masks that were predicted with it."""

import math
from collections.abc import Sequence
from typing import Any

from components.checkpoints import CheckpointManager, CheckpointRecord, TrainingState, restore_checkpoint
from components.data import SegmentationData
from components.errors import CheckpointError
from components.metrics import SurfaceScores, surface_scores
from components.metrics.dice import Mode
from components.metrics.masks import PackedMasks
from tuning.config import MetricsConfig
from tuning.objective import dice_of_weights
from tuning.store import FoldStore

PREDICTED = "predicted"  # what a checkpoint calls its masks
BEST = "best_"  # begins the columns of the best checkpoint, in the row of the last epoch
BEST_EPOCH = f"{BEST}epoch"


class BestSurface:
    """Measures the surfaces once, when the fold ends.

    Args:
        data: the fold.
        config: whether, and with which tolerance.
        checkpoints: of the fold; says which one is the best.
        store: knows where they are.
    """

    def __init__(
        self, data: SegmentationData, config: MetricsConfig, checkpoints: CheckpointManager, store: FoldStore
    ) -> None:
        self._data, self._config = data, config
        self._checkpoints, self._store = checkpoints, store
        self._kept: tuple[int, PackedMasks] | None = None

    def saved(self, epoch: int, predicted: PackedMasks) -> None:
        """Keep the masks of an epoch that was saved, if it is the best; they are small."""
        best = self._checkpoints.best_checkpoint
        if self._config.surface and best is not None and best.epoch == epoch:
            self._kept = epoch, predicted

    def measure(
        self, row: dict[str, Any], dice: float, predicted: PackedMasks, *, forced: bool
    ) -> list[dict[str, Any]]:
        """Measure the best checkpoint, which that of the last epoch is if it is as good and about to be saved.

        Args:
            row: of the last epoch; the means are written into it.
            dice: of the fold at the last epoch.
            predicted: masks of the last epoch.
            forced: whether it is saved whatever the strategy says.

        Returns:
            NSD and HD95 of each case and class, None where undefined; nothing without a checkpoint.
        """
        if not self._config.surface:
            return []
        best = self._checkpoints.best_checkpoint
        gained = best is None or dice >= dice_of_weights(best.metrics)
        if gained and (forced or self._checkpoints.should_save(row["epoch"], row).save):
            epoch, masks = row["epoch"], predicted
        elif best is None or (found := self._masks_of(best)) is None:
            return []
        else:
            epoch, masks = best.epoch, found
        scores = surface_of(self._data, masks, self._config.tolerance)
        row |= {BEST_EPOCH: epoch, **_columns(self._data, scores)}
        return _lines(self._data, scores, epoch)

    def _masks_of(self, best: CheckpointRecord) -> PackedMasks | None:
        if self._kept is not None and self._kept[0] == best.epoch:
            return self._kept[1]
        return masks_of(self._store.persisted([best]), self._data.mode)


def masks_of(records: Sequence[CheckpointRecord], mode: Mode) -> PackedMasks | None:
    """The masks that the first valid checkpoint holds; None without one. Damage is printed."""
    for record in records:
        state = TrainingState(model=None, rng=False)
        try:
            restore_checkpoint(record.path, state)
        except CheckpointError as error:
            print(f"no surface metrics of: {error}")  # noqa: T201 - into the trial's log
        else:
            return PackedMasks.from_tensors(mode, state.extra[PREDICTED])
    return None


def surface_of(data: SegmentationData, masks: PackedMasks, tolerance: float) -> SurfaceScores:
    """Compare predicted masks of the validation split with the true ones.

    Args:
        data: the fold.
        masks: predicted, in its order.
        tolerance: of the surface Dice, in pixels, or in mm where the cases have a spacing.
    """
    return surface_scores(
        masks.unpack([mask.shape for mask in data.val.masks]),
        data.val.masks,
        mode=data.mode,
        classes=len(data.foreground),
        tolerance=tolerance,
        spacings=data.val.spacings or None,
        ignore_index=data.ignore_index,
        scored=data.scored,
    )


def _columns(data: SegmentationData, found: SurfaceScores) -> dict[str, float]:
    """The means, of each class where there are several; HD95 is left out where no case has one."""
    row: dict[str, float] = {}
    for name, scores in ((f"{BEST}nsd", found.nsd), (f"{BEST}hd95", found.hd95)):
        row[name] = scores.mean
        if sum(data.scored) > 1:
            row |= {f"{name}_{label}": scores.per_class[index] for index, label in _scored(data)}
    defined = {name: value for name, value in row.items() if not math.isnan(value)}
    return defined | {f"{BEST}hd95_missed": found.missed, f"{BEST}hd95_spurious": found.spurious}


def _lines(data: SegmentationData, found: SurfaceScores, epoch: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "case": case,
            "group": group,
            "class": label,
            "nsd": _number(found.nsd.per_case[number, index]),
            "hd95": _number(found.hd95.per_case[number, index]),
        }
        for number, (case, group) in enumerate(zip(data.val.cases, data.val.groups, strict=True))
        for index, label in _scored(data)
    ]


def _scored(data: SegmentationData) -> list[tuple[int, str]]:
    return [(index, label) for index, label in enumerate(data.foreground) if data.scored[index]]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
