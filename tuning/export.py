"""Hands over a trial's model, once a fresh process has shown that it gives the recorded masks again."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

from components.checkpoints import CheckpointRecord, verify_checkpoint
from components.deployment import METRICS, write_bundle
from components.errors import CheckpointError
from tuning.config import StudyConfig, set_by_path
from tuning.errors import ExportError
from tuning.identity import versions
from tuning.objective import dice_of_weights
from tuning.record import StudyDirectory, TrialEntry, open_journal, trial_label

SETTINGS = "settings.yaml"
# Another machine or device rounds differently, and a pixel on the border may flip; more than this is another model.
MOST_FLIPPED = 1e-4
MOST_DICE_CHANGE = 1e-3


@dataclass(frozen=True)
class Export:
    """What was handed over.

    Attributes:
        folder: the bundle.
        label: which trial.
        epoch: of the weights.
        check: what the fresh process found: `cases`, `equal_masks`, `flipped`, `precision`, `device`, and `dice` as
            `recorded`, `again` (in the study's precision) and `fp32`.
    """

    folder: Path
    label: str
    epoch: int
    check: dict[str, Any]

    def lines(self) -> list[str]:
        """What was handed over, in words."""
        check, dice = self.check, self.check["dice"]
        plain = "" if check["precision"] == "fp32" else f", {dice['fp32']:.4f} in fp32"
        how = f" in {check['precision']} on {check['device']}; {check['flipped']:.1e} of the pixels differ"
        return [
            f"exported  {self.label} at epoch {self.epoch} to {self.folder}",
            f"masks     {check['equal_masks']} of {check['cases']} are the recorded ones{how}",
            f"Dice      {dice['recorded']:.4f} recorded, {dice['again']:.4f} again{plain}",
        ]


def export_trial(directory: Path, folder: Path, number: int | None = None) -> Export:
    """Write weights, configuration and metrics of a trial.

    Args:
        directory: study directory.
        folder: made; must not exist.
        number: of the trial (baselines from -1 downwards); by default that with the best Dice.

    Raises:
        ExportError: there is no such trial or checkpoint, the folder exists, or the check failed; nothing is left.
        StudyNotFoundError: there is no study.
    """
    study = StudyDirectory(directory)
    record = study.read()
    if folder.exists():
        raise ExportError(f"--to {folder}: exists already. Hint: name a new folder.")
    entry = _choose(open_journal(study).trials(), number, study)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    copies = Path(mkdtemp(prefix="segtune-export-"))
    try:
        checkpoint = _copy_best_checkpoint(study, entry, copies)
        settings = _settings(record, study, entry)
        label = trial_label(entry.number, entry.baseline)
        weights = (checkpoint.path / "model.safetensors").read_bytes()
        description = _describe(record, settings, label, checkpoint)
        (unfinished / SETTINGS).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        write_bundle(unfinished, weights, description, checkpoint.metrics)
        check = _check_in_fresh_process(unfinished, checkpoint, record["data"]["fingerprint"])
        metrics = {"recorded": checkpoint.metrics, "check": check}
        (unfinished / METRICS).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(copies, ignore_errors=True)
    return Export(folder, label, checkpoint.epoch, check)


def _choose(entries: list[TrialEntry], number: int | None, study: StudyDirectory) -> TrialEntry:
    scored = {entry.number: entry for entry in entries if entry.best is not None and entry.state != "failed"}
    if not scored:
        raise ExportError(f"{study.root}: no trial has a Dice yet. Hint: look at segtune status.")
    if number is None:
        return max(scored.values(), key=lambda entry: entry.best[1] if entry.best else 0.0)
    if number not in scored:
        known = ", ".join(map(str, sorted(scored)))
        raise ExportError(f"--trial {number}: no such trial with a Dice. Hint: there are {known}.")
    return scored[number]


def _copy_best_checkpoint(study: StudyDirectory, entry: TrialEntry, copies: Path) -> CheckpointRecord:
    """A copy of the best checkpoint that verifies: while the study runs, Ray Tune may remove it for a better one."""
    seen: list[Any] = []
    damaged: dict[str, str] = {}
    while (lines := study.trial(entry.number).checkpoints()) != seen:
        seen = lines
        for line in sorted(lines, key=lambda line: (line["dice"], line["epoch"]), reverse=True):
            copy = copies / Path(line["path"]).name
            try:
                shutil.copytree(study.root / line["path"], copy, dirs_exist_ok=True)
                return verify_checkpoint(copy)
            except (CheckpointError, OSError) as error:
                damaged[line["path"]] = str(error).replace(str(copy), str(study.root / line["path"]))
    why = "; ".join(damaged.values()) or "none was saved"
    raise ExportError(f"{study.trial(entry.number).path}: no usable checkpoint ({why}).")


def _settings(record: dict[str, Any], study: StudyDirectory, entry: TrialEntry) -> dict[str, Any]:
    """The trial's settings: the study's, what later attempts changed (the data may have moved), what was sampled."""
    settings: dict[str, Any] = record["settings"]
    changes = [event["changed"] for event in study.attempts() if "changed" in event]
    for path, value in ((changes[-1] if changes else {}) | entry.overrides).items():
        set_by_path(settings, path, value)
    return StudyConfig.load(settings).model_dump(mode="json")


def _describe(
    record: dict[str, Any], settings: dict[str, Any], label: str, checkpoint: CheckpointRecord
) -> dict[str, Any]:
    data, model = record["data"], settings["model"]
    return {
        "study": settings["name"],
        "trial": label,
        "epoch": checkpoint.epoch,
        "dice": dice_of_weights(checkpoint.metrics),
        "network": {
            "build": model["build"],
            "arguments": {
                "in_channels": data["channels"],
                "out_channels": len(data["classes"]),
                "spatial_dims": len(next(iter(data["sizes"].values()))["median"]),
                **model["arguments"],
            },
        },
        "input": {
            "channels": data["channels"],
            "normalize": settings["data"]["normalize"] if settings["data"]["root"] else None,
            "orientation": data.get("orientation", {}).get("used"),
            "divisor": model["divisor"],
        },
        "output": {"mode": data["mode"], "classes": data["classes"], "threshold": 0.5},
        "precision": settings["training"]["precision"],
        "data_fingerprint": data["fingerprint"],
        "versions": versions(),
    }


def _check_in_fresh_process(folder: Path, checkpoint: CheckpointRecord, fingerprint: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tuning.export_check", str(folder), str(checkpoint.path), fingerprint]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if result.returncode:
        said = result.stderr.strip().rpartition("\n")[2] or f"exit status {result.returncode}"
        raise ExportError(f"the check in a fresh process failed: {said}")
    check: dict[str, Any] = json.loads(result.stdout)
    change = abs(check["dice"]["again"] - check["dice"]["recorded"])
    if check["flipped"] > MOST_FLIPPED or change > MOST_DICE_CHANGE:
        raise ExportError(
            f"the weights do not give the recorded masks again: {check['flipped']:.2e} of the pixels differ (at most "
            f"{MOST_FLIPPED:g}), and Dice by {change:.2e} (at most {MOST_DICE_CHANGE:g}). "
            "Hint: has the network's code changed since the study ran?"
        )
    return check
