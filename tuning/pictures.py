"""The validation cases of a study whose data only its own code can make, kept for the pictures of its report."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from components.data import SegmentationData, Split
from components.errors import InvalidInputError
from tuning.record import StudyDirectory

_MOST_BYTES = 1 << 26  # of the images and masks together; more is not kept


def keep_pictures(study: StudyDirectory, folds: Sequence[SegmentationData]) -> None:
    """Keep images in 16 bits and masks, once; more than 64 MiB of them are not kept.

    Args:
        study: directory of the study; the caller holds its lock.
        folds: of its data.
    """
    size = sum(image.nbytes // 2 + mask.nbytes for fold in folds for image, mask in _pairs(fold))
    if study.pictures.exists() or size > _MOST_BYTES:
        return
    arrays: dict[str, Any] = {}
    for number, fold in enumerate(folds):
        about = {name: getattr(fold, name) for name in ("name", "mode", "classes", "ignore")}
        about |= {"cases": fold.val.cases, "groups": fold.val.groups}
        arrays[f"{number}"] = np.array(json.dumps(about))
        for case, (image, mask) in enumerate(_pairs(fold)):
            arrays[f"{number}/{case}/image"], arrays[f"{number}/{case}/mask"] = image.astype(np.float16), mask
    temporary = study.pictures.with_name(f".{study.pictures.name}.tmp")
    try:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
        temporary.replace(study.pictures)
    finally:
        temporary.unlink(missing_ok=True)


def read_pictures(study: StudyDirectory) -> list[SegmentationData]:
    """The validation cases of each fold, which stand for the training cases too; empty where none are kept.

    Raises:
        InvalidInputError: the file is damaged.
    """
    if not study.pictures.exists():
        return []
    try:
        return _read(study.pictures)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, InvalidInputError) as error:
        raise InvalidInputError(f"{study.pictures}: holds no pictures of a study ({type(error).__name__}).") from error


def _read(path: Path) -> list[SegmentationData]:
    found: list[SegmentationData] = []
    if os.path.getsize(path) > 2 * _MOST_BYTES:  # noqa: PTH202 - of an untrusted file, before it is opened
        raise ValueError("too large")
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
        while (number := str(len(found))) in kept:
            about = json.loads(str(kept[number]))
            cases = range(len(about["cases"]))
            val = Split(
                [kept[f"{number}/{case}/image"].astype(np.float32) for case in cases],
                [kept[f"{number}/{case}/mask"] for case in cases],
                tuple(about["cases"]),
                tuple(about["groups"]),
            )
            classes = tuple(map(str, about["classes"]))
            none = Split([], [], (), ())
            found.append(SegmentationData(about["name"], about["mode"], classes, val, val, none, about["ignore"]))
    return found


def _pairs(fold: SegmentationData) -> Any:
    return zip(fold.val.images, fold.val.masks, strict=True)
