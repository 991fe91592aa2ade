"""A study's settings as its own record has them, so that it goes on without its study file."""

from pathlib import Path
from typing import Any

from tuning.attempts import last_start
from tuning.config import set_by_path
from tuning.record import StudyDirectory
from tuning.study_file import StudyFile, lay_over


def recorded_study(directory: Path, overrides: list[str] | None = None) -> StudyFile:
    """The settings of the last attempt, and `key=value` overrides over them.

    Args:
        directory: study directory.
        overrides: such as `resources.concurrent=4`.

    Raises:
        StudyNotFoundError: there is no study.
        StudyConfigError: an override has no `=`, or names nothing.
    """
    study = StudyDirectory(directory)
    file = StudyFile(recorded_settings(study), str(study.study_file))
    for override in overrides or []:
        lay_over(file, override)
    return file


def recorded_settings(study: StudyDirectory) -> dict[str, Any]:
    """Settings of `study.yaml`, with what the last attempt had changed and where paths lead now.

    Raises:
        StudyNotFoundError: there is no study.
    """
    settings: dict[str, Any] = study.read()["settings"]
    start = last_start(study) or {}
    for path, value in (start.get("changed", {}) | study.moved(start.get("attempt", 0))).items():
        set_by_path(settings, path, value)
    return settings
