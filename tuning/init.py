"""Writes a study file for a folder, with what was seen there as comments."""

import json
import os
import re
from pathlib import Path

from components.data.folder.labels import Classes
from components.data.folder.survey import Survey, survey_folder
from components.image_reader import suffix_of
from components.json_lines import replace_text
from tuning.duration import seconds_of
from tuning.errors import StudyConfigError
from tuning.proposals import Crop, propose_crop, propose_foreground

_FEW_STEPS = 600  # below, three times the epochs
_BATCH = {2: 4, 3: 2}
_VOLUME = 3  # axes


def init_study(folder: Path, file: Path | None = None, budget: str | None = None) -> Path:
    """Look at a folder and write a commented study file that runs as it is.

    Args:
        folder: holds images and masks.
        file: to write; by default `<folder's name>.yaml` in the working directory; must not exist.
        budget: time that the study is to spend, such as `2h`; the recipe `standard` is searched then, and a measured
            epoch decides lengths and numbers. None writes a small and quick study.

    Returns:
        The file.

    Raises:
        InvalidInputError: the folder has problems.
        StudyConfigError: the file exists, or the budget is not a time.
    """
    if budget is not None:
        _check_budget(budget)
    file = file or Path(f"{study_name(folder)}.yaml")
    if file.exists():
        raise StudyConfigError(f"{file}: exists already. Hint: name another with --to, or remove it.")
    survey = survey_folder(folder)
    _check_groups(survey)
    text = describe_study(survey, Path(os.path.relpath(folder.absolute(), file.absolute().parent)), budget)
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_text(file, text)
    return file


def _check_groups(survey: Survey) -> None:
    if survey.groups < 2 and not survey.has_split:  # noqa: PLR2004 - one to train, one to validate
        kind = "group of cases" if len(survey.cases) > 1 else "pair of image and mask"
        raise StudyConfigError(
            f"{survey.root}: found 1 {kind}; training and validation need one each. Hint: add images, or cut this one "
            "into parts that do not overlap."
        )


def _check_budget(budget: str) -> None:
    try:
        seconds_of(budget)
    except ValueError as error:
        raise StudyConfigError(f"--budget: {error}") from None


def study_name(folder: Path) -> str:
    """A study's name from a folder's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", folder.absolute().name).lstrip("_.-") or "study"


def describe_study(survey: Survey, root: Path, budget: str | None = None) -> str:
    """The text of a study file for what was seen.

    Args:
        survey: what was seen.
        root: of the data, as the file is to name it.
        budget: as of `init_study`.
    """
    return "\n".join(
        [
            f"# {_seen(survey)}",
            f"# Mask values: {_values(survey)}.",
            *(f"# Note: {note}." for note in survey.notes),
            f"name: {study_name(survey.root)}",
            "",
            "data:",
            f"  root: {json.dumps(str(root), ensure_ascii=False)}   # relative to this file",
            *_data_lines(survey),
            "",
            *(_quick_lines(survey) if budget is None else _budget_lines(survey, budget)),
            "",
        ]
    )


def _quick_lines(survey: Survey) -> list[str]:
    axes = len(survey.sizes[0])
    train = len(survey.cases) * 7 // 10
    epochs = 27 if train // _BATCH[axes] * 27 >= _FEW_STEPS else 81
    return [
        "training:",
        f"  epochs: {epochs}            # full budget of a trial",
        f"  batch: {_BATCH[axes]}",
        "  lr: 1e-2              # AdamW",
        *_crop_lines(survey),
        "  precision: auto       # bf16 where this machine is good at it, else fp32; the same in all trials",
        "",
        "checkpoint:",
        "  strategy: best        # saved whenever validation Dice rises",
        "",
        "search:",
        "  trials: 12            # and four baselines with the usual losses",
        "  startup_trials: 6     # drawn at random before TPE takes over",
        "  space:",
        "    presets: [loss_weights]   # also optimizer, checkpoint_strategies",
        "",
        "scheduler:",
        "  type: asha",
        "  grace: 3              # every trial gets three epochs, then the best third goes on",
        "  reduction: 3",
    ]


def _budget_lines(survey: Survey, budget: str) -> list[str]:
    axes = len(survey.sizes[0])
    return [
        "training:",
        "  recipe: standard      # network, optimiser, schedule, augmentation; small, strong, nnunet_like are others",
        *([] if axes < _VOLUME else [f"  batch: {_BATCH[axes]}"]),
        *(
            ["  mirror: [0]           # left and right are alike, front and back are not; [] where left is a class"]
            if all(case.grid for case in survey.cases)
            else []
        ),
        *_crop_lines(survey),
        "",
        "search:",
        f"  budget: {json.dumps(budget)}        # a measured epoch decides how long trainings are, and how many",
        "  space:",
        "    presets: [recipe]   # learning rate, decay, strength of the augmentation, loss weights",
        "",
        "scheduler:",
        "  type: race            # trials pause at rungs, and the best go on; the usual loss always does",
    ]


def _seen(survey: Survey) -> str:
    types = " and ".join(sorted({case.stored[0] for case in survey.cases}))
    suffixes = " and ".join(sorted({suffix_of(case.pair.image).lstrip(".").upper() for case in survey.cases}))
    channels = len(survey.cases[0].image)
    sizes = " to ".join(dict.fromkeys("×".join(map(str, size)) for size in (survey.sizes[0], survey.sizes[-1])))
    return (
        f"{len(survey.cases)} pairs of image and mask: {suffixes} {types}, "
        f"{channels} channel{'' if channels == 1 else 's'}, {sizes}{_space(survey)}."
    )


def _space(survey: Survey) -> str:
    """Of volumes: how they were stored, and how far their voxels are apart."""
    grids = [case.grid for case in survey.cases if case.grid]
    if not grids:
        return ""
    spacings = sorted({tuple(round(part, 3) for part in grid.spacing) for grid in grids})
    shown = ("×".join(f"{part:g}" for part in spacing) for spacing in (spacings[0], spacings[-1]))
    return f", {' and '.join(sorted({grid.orientation for grid in grids}))}, {' to '.join(dict.fromkeys(shown))} mm"


def _values(survey: Survey) -> str:
    classes = survey.classes
    names = ("background", *classes.names) if classes.mode == "binary" else classes.names
    meaning = dict(zip(classes.values, names, strict=True)) | dict.fromkeys(classes.also, names[-1])
    return ", ".join(
        f"{value} {meaning.get(value, 'ignored')} ({share:.1%})" for value, share in survey.shares().items()
    )


def _data_lines(survey: Survey) -> list[str]:
    classes = survey.classes
    lines = []
    if (survey.images, survey.masks) != ("images", "masks"):
        lines += [f"  images: {json.dumps(survey.images)}", f"  masks: {json.dumps(survey.masks)}"]
    lines.append(f"  classes: {_classes(classes)}")
    if survey.threshold is not None:
        lines.append(f"  threshold: {survey.threshold:g}      # mask values above it are foreground")
    if classes.ignore is not None:
        lines.append(f"  ignore: {classes.ignore}           # pixels without a label: no gradient, not counted")
    lines.append("  normalize: zscore     # of each image; also zscore_nonzero, minmax, percentile, none")
    if survey.has_split:
        lines.append("  split: split.json     # the split that lies in the folder")
    else:
        lines += [_ratio_line(survey), "  split_seed: 0"]
    if survey.group:
        file, column, stem = (json.dumps(name, ensure_ascii=False) for name in survey.group)
        of_stem = "" if survey.group[2] == "stem" else f", stem: {stem}"
        lines.append(f"  group: {{csv: {file}, column: {column}{of_stem}}}")
    elif any("/" in case.pair.stem for case in survey.cases):
        lines.append("  # no group is set: the cases of one sub-folder stay in one split")
    else:
        lines.append("  # group: {pattern: '^([^_]+)_'}   # keeps cases of one patient or specimen in one split")
    return lines


def _ratio_line(survey: Survey) -> str:
    """Groups are dealt as wholes, so that few of them leave none for a test split."""
    if survey.groups > 2:  # noqa: PLR2004 - one for each of train, val and test
        return "  ratio: [0.7, 0.15, 0.15]   # train, val, test"
    return f"  ratio: [0.5, 0.5, 0]   # train, val; {survey.groups} groups leave nothing to test on"


def _classes(classes: Classes) -> str:
    if classes.mode == "binary" and classes.values[0] == 0 and (classes.values[1] in (1, 255) or classes.also):
        return f"[{classes.names[0]}]   # rename it as you like"
    if classes.mode == "multiclass" and classes.values == tuple(range(len(classes.values))):
        return f"[{', '.join(classes.names)}]   # in the order of the values; rename them as you like"
    names = ("background", *classes.names) if classes.mode == "binary" else classes.names
    named = ", ".join(f"{name}: {value}" for name, value in zip(names, classes.values, strict=True))
    return f"{{{named}}}   # the value of each; rename them as you like"


def _crop_lines(survey: Survey) -> list[str]:
    crop = propose_crop(survey)
    foreground = propose_foreground(survey, crop)
    lines = [f"  {_crop_text(survey, crop)}"]
    if foreground is not None:
        lines.append(f"  foreground: {foreground}      # of the crops are sure to show some; the others lie anywhere")
    return lines


def _crop_text(survey: Survey, crop: Crop) -> str:
    what = "volume" if len(survey.sizes[0]) == _VOLUME else "image"
    if crop is None:
        return f"# crop: 64            # a random part of each {what} an epoch; these are small enough to be whole"
    if isinstance(crop, list):
        return f"crop: {crop}    # a random part of each {what} an epoch; smaller ones are continued by mirroring"
    if all(min(size) > crop for size in survey.sizes):
        return f"crop: {crop}             # a random part of each {what} an epoch; validation sees whole {what}s"
    return f"crop: {crop}             # sizes differ, so that whole {what}s would make no batch"
