"""From the section `data` of a study to decoded data sets: one, or one a fold."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.data import SegmentationData, find_warnings, summarize
from components.data.folder import groups_by_pattern, groups_by_table, open_folder, split_folder
from components.data.folder.pairs import find_pairs
from components.dotted import import_object
from components.references import masked, resolve_all
from tuning.config import DataConfig
from tuning.errors import StudyConfigError

Folds = tuple[SegmentationData, ...]


def load_data(config: DataConfig) -> Folds:
    """Load what the section names.

    Returns:
        One data set; or with `data.folds` one a fold, which share their arrays.

    Raises:
        StudyConfigError: a function's path or arguments do not fit, or it returns something else.
        InvalidInputError: the folder has problems; lists them.
    """
    if not config.is_named:
        raise StudyConfigError("data: names no data, as in a study of a script, whose data only the script knows.")
    return _load_folder(config) if config.build is None else (_call(config.build, config.arguments),)


def look_first(config: DataConfig) -> None:
    """Pair the files of a folder, which takes no time; nothing is decoded.

    Raises:
        InvalidInputError: a folder is missing or empty, a file has no partner; lists every problem.
    """
    if config.root is not None:
        find_pairs(Path(config.root), config.images, config.masks)


def describe_data(folds: Folds) -> dict[str, Any]:
    """What the study's record says of its data; with folds the fractions and sizes are those of the first."""
    first = summarize(folds[0])
    if len(folds) > 1:
        digest = hashlib.sha256("".join(fold.fingerprint for fold in folds).encode())
        cases = {"folds": [len(fold.val) for fold in folds], "test": len(folds[0].test)}
        first |= {"folds": len(folds), "cases": cases, "fingerprint": digest.hexdigest()}
    return first | {"warnings": data_warnings(folds)}


def data_warnings(folds: Folds) -> list[str]:
    """What is worth a warning, each said once."""
    return list(dict.fromkeys(line for fold in folds for line in find_warnings(fold)))


def _load_folder(config: DataConfig) -> Folds:
    folder = open_folder(
        Path(str(config.root)),
        images=config.images,
        masks=config.masks,
        classes=config.classes,
        ignore=config.ignore,
        normalize=config.normalize,
        threshold=config.threshold,
    )
    return tuple(
        split_folder(
            folder,
            split=config.split,
            ratio=config.ratio,
            seed=config.split_seed,
            grouping=(lambda stems: _groups(config, stems)) if config.group else None,
            folds=config.folds,
        )
    )


def _groups(config: DataConfig, stems: Sequence[str]) -> dict[str, str]:
    group = config.group
    if group is None:
        return {stem: stem for stem in stems}
    if group.pattern is not None:
        return groups_by_pattern(stems, group.pattern)
    return groups_by_table(stems, Path(str(config.root)) / str(group.csv), str(group.column), group.stem)


def _call(build: str, arguments: dict[str, Any]) -> SegmentationData:
    function = import_object(build, "data.build")
    try:
        data = function(**resolve_all(arguments, "data.arguments"))
    except TypeError as error:
        raise StudyConfigError(f"data.build: {build} with arguments {arguments}: {masked(str(error))}.") from error
    if not isinstance(data, SegmentationData):
        raise StudyConfigError(
            f"data.build: {build} returned {type(data).__name__}, expected components.data.SegmentationData."
        )
    return data
