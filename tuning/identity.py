"""What makes a study the same study: its settings and its data."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from components.training.pretrained import hash_weights
from tuning.config import StudyConfig, settings_difference
from tuning.config.search import TAUGHT
from tuning.errors import StudyMismatchError
from tuning.record import StudyDirectory

_MAY_CHANGE = (
    "search.trials",
    "stop.",
    "resources.",
    "trackers.",
    "finalists",
    "data.root",
    "model.weights",
    "script.path",
)  # what lies in both paths is hashed
_LIBRARIES = ("segtune", "torch", "ray", "optuna", "monai", "numpy")


def open_directory(directory: StudyDirectory, config: StudyConfig, data: dict[str, Any]) -> dict[str, Any]:
    """Make the study directory, or check that it belongs to these settings and data.

    Args:
        directory: study directory; the caller holds its lock.
        config: settings as given now.
        data: what is trained on now, as described by `Task.describe`.

    Returns:
        Settings that differ from the study's and may, by dotted path; recorded with the attempt.

    Raises:
        StudyMismatchError: data, format version or settings that may not change differ.
    """
    settings = config.model_dump(mode="json")
    weights = hash_weights(Path(config.model.weights)) if config.model.weights else None
    if not directory.exists():
        directory.create({"settings": settings, "data": data, "weights": weights, "versions": versions()})
        return {}
    record = directory.read()
    _check_data(directory, record["data"], data, f"Hint: restore the data, or {_new_study(directory, config)}")
    if record.get("weights") != weights:
        raise StudyMismatchError(f"{directory.root} started from other pretrained weights than {config.model.weights}.")
    changed = settings_difference(_with_defaults(record["settings"]), settings)
    refused = {path: values for path, values in changed.items() if not path.startswith(_MAY_CHANGE)}
    if refused:
        differences = "\n".join(f"  {path}: was {old!r}, now {new!r}" for path, (old, new) in refused.items())
        raise StudyMismatchError(
            f"{directory.root} holds a study with other settings:\n{differences}\nHint: {_new_study(directory, config)}"
        )
    return {path: new for path, (_, new) in changed.items()}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a study's numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def _with_defaults(recorded: dict[str, Any]) -> dict[str, Any]:
    """Settings as recorded, with those that have come since; each is by default what was done before."""
    return StudyConfig.load(recorded).model_dump(mode="json")


def _new_study(directory: StudyDirectory, config: StudyConfig) -> str:
    """What to do instead; a sampler that learns can begin with what is known."""
    own = "give the new study a directory of its own with --dir"
    if config.search.sampler not in TAUGHT or len(config.search.objectives) > 1:
        return f"{own}."
    return f"{own}; with search.warm_start: [{directory.root}] it learns from this one's trials."


def _check_data(directory: StudyDirectory, recorded: dict[str, Any], data: dict[str, Any], hint: str) -> None:
    if recorded["fingerprint"] != data["fingerprint"]:
        study, found = (f"{d['name']}, {d['cases']}, fingerprint {d['fingerprint'][:12]}" for d in (recorded, data))
        raise StudyMismatchError(f"{directory.root} belongs to other data:\n  study: {study}\n  found: {found}\n{hint}")
