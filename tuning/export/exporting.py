"""Hands over a trial's model, once a fresh process has shown that it gives the recorded masks again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import yaml

from components.deployment import write_bundle
from components.deployment.bundle import METRICS, WEIGHTS
from components.deployment.card import CARD, card_text
from components.deployment.carried import write_predictor, write_sums
from components.deployment.onnx_file import require_exporter
from components.json_lines import named
from components.references import masked
from components.training.named import trained_mirrored
from tuning.config import StudyConfig
from tuning.errors import ExportError
from tuning.export.description import describe
from tuning.export.ensembles import ensemble_of_search
from tuning.export.finalists import best_finalist, best_of_each, ensemble_of
from tuning.export.handover import AVERAGE, Handover, choose_trial, handover_of
from tuning.export.onnx_model import check_parity, write_golden, write_models
from tuning.export.result import Export
from tuning.export.scores import describe_tested
from tuning.export.source import FORMATS, SETTINGS, Source
from tuning.record import StudyDirectory, open_journal

# Another machine or device rounds differently, and a pixel on the border may flip; more than this is another model.
MOST_FLIPPED = 1e-4
MOST_DICE_CHANGE = 1e-3
Threshold = Literal["half", "tuned"]
THRESHOLDS: tuple[Threshold, ...] = ("half", "tuned")


def export_trial(
    directory: Path,
    folder: Path,
    number: int | None = None,
    formats: tuple[str, ...] = ("safetensors",),
    *,
    average: str = "best",
    threshold: Threshold = "half",
    tta: bool = False,
) -> Export:
    """Write weights, configuration and metrics of a trial.

    Args:
        directory: study directory.
        folder: made; must not exist.
        number: of the trial (baselines from -1 downwards); by default that with the best Dice.
        formats: some of `FORMATS`; the weights as safetensors always come along, and `onnx` with `pt2`.
        average: which weights: the `best` checkpoint, the `last`, or the average `ema`, `swa` or `soup`.
        threshold: masks are cut at one `half`, or where validation was best, `tuned`.
        tta: probabilities are averaged over images mirrored along the axes that the training mirrored.

    Raises:
        ExportError: there is no such trial or checkpoint, the folder exists, a check failed, or no axis may be mirrored
            for `tta`; nothing is left.
        MissingExtraError: ONNX was asked for, and the extra `export` is not installed.
        StudyNotFoundError: there is no study.

    Example:
        >>> export_trial(Path("studies/nuclei"), Path("bundle"), formats=("onnx",)).lines()  # doctest: +SKIP
    """
    study = StudyDirectory(directory)
    form = _Form(formats, threshold, tta)
    if average not in AVERAGE:
        raise ExportError(f"--average: found {average!r}; use one of {', '.join(AVERAGE)}.")

    def make(copies: Path) -> Handover:
        return handover_of(study, choose_trial(open_journal(study).trials(), number, study), average, copies)

    return _export(study, folder, make, form)


def export_finalist(
    directory: Path,
    folder: Path,
    formats: tuple[str, ...] = ("safetensors",),
    threshold: Threshold = "half",
    *,
    tta: bool = False,
) -> Export:
    """Write the finalist that validation likes best: of the setting with the best mean over its seeds the best seed.

    The test split chooses nothing, so that the card's test score is one that nobody picked.

    Args:
        directory: of the study that was searched, in which `segtune finalists` has run.
        folder: made; must not exist.
        formats: as `export_trial`.
        threshold: as `export_trial`.
        tta: as `export_trial`.

    Raises:
        ExportError: there are no finalists; further as `export_trial`.
        MissingExtraError: as `export_trial`.
        StudyNotFoundError: there is no study.
    """
    study, entry = best_finalist(StudyDirectory(directory))
    return _export(study, folder, partial(handover_of, study, entry, "best"), _Form(formats, threshold, tta))


def export_finalists(
    directory: Path,
    folder: Path,
    formats: tuple[str, ...] = ("safetensors",),
    threshold: Threshold = "half",
    *,
    tta: bool = False,
) -> Iterator[Export]:
    """Write the best seed of every finalist, each into a folder of its own; those that are there stay as they are.

    Args:
        directory: as `export_finalist`.
        folder: for the bundles, `trial_3`, `baseline_dice` and so on.
        formats: as `export_trial`.
        threshold: as `export_trial`.
        tta: as `export_trial`.

    Yields:
        Each bundle when it is written.

    Raises:
        ExportError: as `export_finalist`; the bundles that were written before stay.
        MissingExtraError: as `export_trial`.
        StudyNotFoundError: there is no study.
    """
    study, chosen = best_of_each(StudyDirectory(directory))
    form = _Form(formats, threshold, tta)
    for name, entry in chosen.items():
        place = folder / "".join(sign if sign.isalnum() else "_" for sign in name)
        if not place.exists():
            yield _export(study, place, partial(handover_of, study, entry, "best"), form)


def export_ensemble(
    directory: Path,
    folder: Path,
    formats: tuple[str, ...] = ("safetensors",),
    threshold: Threshold = "half",
    *,
    tta: bool = False,
) -> Export:
    """Write several trainings as one network, which averages their probabilities.

    Where there are finalists, these are all seeds of the one with the best mean; else the trials of the search that are
    best together on validation.

    Args:
        directory: as `export_trial`.
        folder: made; must not exist.
        formats: as `export_trial`.
        threshold: as `export_trial`.
        tta: as `export_trial`.

    Raises:
        ExportError: the finalists have but one seed, no two trials of the search are better together than one alone, or
            they were trained in folds; further as `export_trial`.
        MissingExtraError: as `export_trial`.
        StudyNotFoundError: there is no study.
    """
    searched, form = StudyDirectory(directory), _Form(formats, threshold, tta)
    if not searched.finalists.exists():
        return _export(searched, folder, partial(ensemble_of_search, searched), form)
    return _export(searched.finalists, folder, partial(ensemble_of, searched), form)


@dataclass(frozen=True)
class _Form:
    """How a bundle is written."""

    formats: tuple[str, ...]
    threshold: Threshold
    tta: bool

    def __post_init__(self) -> None:
        unknown = set(self.formats) - set(FORMATS)
        if unknown:
            raise ExportError(f"--format: found {', '.join(sorted(unknown))}; use some of {', '.join(FORMATS)}.")
        if self.threshold not in THRESHOLDS:
            raise ExportError(f"--threshold: found {self.threshold!r}; use one of {', '.join(THRESHOLDS)}.")
        if self.with_onnx:
            require_exporter()

    @property
    def with_onnx(self) -> bool:
        return bool({"onnx", "pt2"} & set(self.formats))


def _export(study: StudyDirectory, folder: Path, make: Callable[[Path], Handover], form: _Form) -> Export:
    """Write beside the folder, and move there what has passed all checks."""
    record = study.read()
    if folder.exists():
        raise ExportError(f"--to {folder}: exists already. Hint: name a new folder.")
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    copies = Path(mkdtemp(prefix="segtune-export-"))
    try:
        handover = make(copies)
        unfinished.mkdir(parents=True)
        if handover.settings["script"] is not None:
            if form.tta:
                raise ExportError("--tta: only the script knows its network. Hint: mirror where it is used.")
            _write_weights(unfinished, handover)
            export = Export(folder, handover.label, handover.epoch, {})
        else:
            export = _write(unfinished, folder, record, handover, form)
        unfinished.rename(folder)
    except OSError as error:
        raise named(error, folder) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(copies, ignore_errors=True)
    return export


def _write(place: Path, folder: Path, record: dict[str, Any], handover: Handover, form: _Form) -> Export:
    _write_settings(place, handover)
    description = describe(record, handover)
    description["tta"] = {"axes": _axes_to_mirror(description["input"]["axes"], handover, form), "used": form.tta}
    write_bundle(place, handover.weights, description, {})
    check = _check_in_fresh_process(place, handover, record["data"]["fingerprint"])
    output = description["output"]
    output["tuned_threshold"], output["temperature"] = check["threshold"], check["calibration"]["temperature"]
    if form.threshold == "tuned" and check["threshold"] is not None:
        output["threshold"] = list(check["threshold"]["tuned"].values())
    tested = describe_tested(handover.tested)
    if tested is not None:
        tested["tta"] = bool((handover.settings.get("finalists") or {}).get("tta"))
    metrics = {
        "recorded": handover.recorded,
        "surface": handover.surface,
        "check": check,
        "test": tested,
    }
    source = Source.load(StudyConfig.load(handover.settings), handover.epoch)

    def write(models: dict[str, Any]) -> None:
        description.update(models)
        write_bundle(place, handover.weights, description, metrics)

    parity = None
    if form.with_onnx:
        write(write_models(place, source, form.formats))
        try:
            parity = _carry_onnx(place, source, description["onnx"]["fixed_size"], check["dice"])
        except ExportError as refused:
            if description["onnx"]["fixed_size"] is not None:
                raise
            write(write_models(place, source, form.formats, refused=refused))
            parity = _carry_onnx(place, source, description["onnx"]["fixed_size"], check["dice"])
    else:
        write({"tiling": source.tiling()})
    (place / CARD).write_text(card_text(description, metrics, parity), encoding="utf-8")
    write_sums(place)
    fixed = description.get("onnx", {}).get("why_fixed", "")
    return Export(folder, handover.label, handover.epoch, check, output["threshold"], parity, fixed)


def _axes_to_mirror(axes: int, handover: Handover, form: _Form) -> list[int]:
    """Spatial axes that the bundle may mirror, whether it does so by default or not."""
    training = StudyConfig.load(handover.settings).training
    found = list(trained_mirrored(training, axes))
    if form.tta and not found:
        what = f"training.augment is {training.augment}" if training.mirror is None else "training.mirror is empty"
        raise ExportError(
            f"--tta: {handover.label} was not trained on mirrored images, since {what}. "
            "Hint: training.mirror names the axes that may be mirrored."
        )
    return found


def _carry_onnx(folder: Path, source: Source, size: list[int] | None, whole: dict[str, Any]) -> dict[str, Any]:
    """Predictor, golden pair and gate; the gate uses the bundle as it will be, and so needs its sums."""
    write_predictor(folder)
    write_golden(folder, source, size)
    write_sums(folder)
    return check_parity(folder, source, size, whole)


def _write_settings(folder: Path, handover: Handover) -> None:
    (folder / SETTINGS).write_text(yaml.safe_dump(masked(handover.settings), sort_keys=False), encoding="utf-8")


def _write_weights(folder: Path, handover: Handover) -> None:
    """Of a script: no bundle, since what builds the network is not known."""
    _write_settings(folder, handover)
    (folder / WEIGHTS).write_bytes(handover.weights)
    (folder / METRICS).write_text(json.dumps({"recorded": handover.recorded}, indent=2) + "\n", encoding="utf-8")


def _check_in_fresh_process(folder: Path, handover: Handover, fingerprint: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tuning.export.check", str(folder), fingerprint, str(handover.epoch)]
    if handover.checkpoint is not None:
        command.append(str(handover.checkpoint))
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if result.returncode:
        said = result.stderr.strip().rpartition("\n")[2] or f"exit status {result.returncode}"
        raise ExportError(f"the check in a fresh process failed: {said}")
    check: dict[str, Any] = json.loads(result.stdout)
    if handover.checkpoint is None:
        return check
    change = abs(check["dice"]["again"] - check["dice"]["recorded"])
    if check["flipped"] > MOST_FLIPPED or change > MOST_DICE_CHANGE:
        raise ExportError(
            f"the weights do not give the recorded masks again: {check['flipped']:.2e} of the pixels differ (at most "
            f"{MOST_FLIPPED:g}), and Dice by {change:.2e} (at most {MOST_DICE_CHANGE:g}). "
            "Hint: has the network's code changed since the study ran?"
        )
    return check
