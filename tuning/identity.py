"""What makes a study the same study: its settings and its data."""

import platform
from importlib.metadata import version
from typing import Any

from components.data import SegmentationData
from tuning.config import StudyConfig, settings_difference
from tuning.errors import StudyMismatchError
from tuning.record import StudyDirectory

_MAY_CHANGE = ("search.trials", "resources.")
_LIBRARIES = ("segtune", "torch", "ray", "optuna", "monai", "numpy")


def open_directory(directory: StudyDirectory, config: StudyConfig, data: SegmentationData) -> dict[str, Any]:
    """Make the study directory, or check that it belongs to these settings and data.

    Args:
        directory: study directory; the caller holds its lock.
        config: settings as given now.
        data: data as loaded now.

    Returns:
        Settings that differ from the study's and may, by dotted path; recorded with the attempt.

    Raises:
        StudyMismatchError: data, format version or settings that may not change differ.
    """
    settings = config.model_dump()
    if not directory.exists():
        directory.create({"settings": settings, "data": _describe(data), "versions": versions()})
        return {}
    record = directory.read()
    _check_data(directory, record["data"], data)
    changed = settings_difference(record["settings"], settings)
    refused = {path: values for path, values in changed.items() if not path.startswith(_MAY_CHANGE)}
    if refused:
        differences = "\n".join(f"  {path}: was {old!r}, now {new!r}" for path, (old, new) in refused.items())
        raise StudyMismatchError(
            f"{directory.root} holds a study with other settings:\n{differences}\n"
            "Hint: give the new study a directory of its own with --dir."
        )
    return {path: new for path, (_, new) in changed.items()}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a study's numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def _describe(data: SegmentationData) -> dict[str, Any]:
    return {
        "name": data.name,
        "mode": data.mode,
        "classes": list(data.classes),
        "cases": {name: len(split) for name, split in data.splits.items()},
        "fingerprint": data.fingerprint,
    }


def _check_data(directory: StudyDirectory, recorded: dict[str, Any], data: SegmentationData) -> None:
    if recorded["fingerprint"] != data.fingerprint:
        raise StudyMismatchError(
            f"{directory.root} belongs to other data:\n"
            f"  study: {recorded['name']}, {recorded['cases']}, fingerprint {recorded['fingerprint'][:12]}\n"
            f"  found: {data.name}, {_describe(data)['cases']}, fingerprint {data.fingerprint[:12]}\n"
            "Hint: restore the data, or give the new study a directory of its own with --dir."
        )
