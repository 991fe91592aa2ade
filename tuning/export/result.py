"""What an export handed over, in numbers and in words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.deployment.bundle import WEIGHTS
from tuning.export.source import SETTINGS


@dataclass(frozen=True)
class Export:
    """What was handed over.

    Attributes:
        folder: the bundle.
        label: which trial.
        epoch: of the weights.
        check: what the fresh process found: `cases`, `equal_masks`, `flipped`, `precision`, `device`, `dice` as
            `recorded`, `again` (in the study's precision), `fp32` and `tta` (in fp32 over mirrored images; None
            without), and `threshold`: None for classes of which the likeliest is taken, else `tuned` (of each class),
            `tuned_on`, `cases`, `dice_at_half`, `dice_at_tuned`.
            `calibration` has the `temperature` and the reliability `before` and `after` it, `intervals` the
            `metrics` in fp32 with their `mean`, `low` and `high` over `groups`. `equal_masks`, `flipped` and what was
            `recorded` are None for weights that the study never validated, such as an ensemble.
            Empty for a script, whose network cannot be built without it.
        threshold: of each class, at which masks are cut; None where the likeliest class is taken, and for a script.
        parity: of the ONNX model with PyTorch, as `parity.json`; None without one.
        why_fixed: why the ONNX model takes one size only; empty where it takes all.
    """

    folder: Path
    label: str
    epoch: int
    check: dict[str, Any]
    threshold: list[float] | None = None
    parity: dict[str, Any] | None = None
    why_fixed: str = ""

    def lines(self) -> list[str]:
        """What was handed over, in words."""
        first = f"exported  {self.label} at epoch {self.epoch} to {self.folder}"
        if not self.check:
            return [first, f"unchecked {WEIGHTS} and {SETTINGS}: only the script knows the network that they belong to"]
        return [
            first,
            *self._recorded_lines(),
            *self._tta_lines(),
            _calibration_line(self.check["calibration"]),
            *self._threshold_lines(),
            *_parity_lines(self.parity),
            *(
                [f"          takes this size only, larger images in windows: {self.why_fixed}"]
                if self.why_fixed
                else []
            ),
        ]

    def _recorded_lines(self) -> list[str]:
        check, dice = self.check, self.check["dice"]
        if dice["recorded"] is None:
            return [f"Dice      {dice['fp32']:.4f} in fp32 on {check['cases']} validation cases, measured now"]
        plain = "" if check["precision"] == "fp32" else f", {dice['fp32']:.4f} in fp32"
        how = f" in {check['precision']} on {check['device']}; {check['flipped']:.1e} of the pixels differ"
        return [
            f"masks     {check['equal_masks']} of {check['cases']} are the recorded ones{how}",
            f"Dice      {dice['recorded']:.4f} recorded, {dice['again']:.4f} again{plain}",
        ]

    def _tta_lines(self) -> list[str]:
        dice = self.check["dice"]
        if dice["tta"] is None:
            return []
        return [f"TTA       Dice {dice['tta']:.4f} over mirrored images in place of {dice['fp32']:.4f}, in fp32"]

    def _threshold_lines(self) -> list[str]:
        found = self.check["threshold"]
        if self.threshold is None or found is None:
            return []
        values = found["tuned"].values()
        named = [f"{name} {value:.3g}" for name, value in found["tuned"].items()]
        tuned = f"{min(values):.3g}" if len(values) == 1 else ", ".join(named)
        dice = f"Dice {found['dice_at_tuned']:.4f} in place of {found['dice_at_half']:.4f}"
        if set(self.threshold) == {0.5}:
            return [f"threshold 0.5 is used; {tuned} is best on validation, which it was tuned on: {dice}"]
        return [f"threshold {tuned} is used, the best on validation, which it was tuned on: {dice} at 0.5"]


def _parity_lines(parity: dict[str, Any] | None) -> list[str]:
    if parity is None:
        return []
    sizes = ", ".join("×".join(map(str, entry["size"])) for entry in parity["sizes"])
    return [f"ONNX      at {sizes} logits within {parity['largest']:.1e}, {parity['flipped']:.1e} of the pixels differ"]


def _calibration_line(found: dict[str, Any]) -> str:
    before, after = found["before"]["ece"], found["after"]["ece"]
    how = f"temperature {found['temperature']:g}, fitted on {found['fitted_on']}"
    return f"reliable  {how}: calibration error {before:.4f} before, {after:.4f} after"
