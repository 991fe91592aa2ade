"""Data, pretrained weights or a script that lie elsewhere than when the study was made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning.attempts import last_start
from tuning.config.paths import pick
from tuning.errors import StudyConfigError
from tuning.identity import open_directory
from tuning.lock import study_lock
from tuning.record import StudyDirectory
from tuning.recorded import recorded_settings, recorded_study
from tuning.study_file import MAY_MOVE
from tuning.tasks import open_task


def move(directory: Path, overrides: list[str] | None) -> None:
    """Find what a study was made with where it lies now, and record the place for every later command.

    Args:
        directory: study directory.
        overrides: such as `data.root=/new/place`; nothing else may change.

    Raises:
        StudyConfigError: an override names another setting.
        StudyMismatchError: what lies there is not what the study was made with.
        StudyBusyError: another process runs the study.
    """
    if not overrides:
        return
    for override in overrides:
        if override.partition("=")[0] not in MAY_MOVE:
            raise StudyConfigError(
                f"-s {override}: only where something lies may change here: {', '.join(MAY_MOVE)}. "
                "Hint: other settings belong to run, resume and extend."
            )
    study = StudyDirectory(directory)
    file = recorded_study(directory, overrides)
    config = file.load()
    with file.placed(), study_lock(study):
        note_moves(study, open_directory(study, config, open_task(config, study.root).describe()))


def note_moves(study: StudyDirectory, changed: Mapping[str, Any]) -> None:
    """Record where paths of the settings lead now, for the finalists too; the caller holds the study's lock.

    Args:
        study: directory of the study.
        changed: settings that differ from the study's own, by dotted path.
    """
    moved = {path: str(changed[path]) for path in MAY_MOVE if path in changed}
    for place in (study, study.finalists) if moved else ():
        if place.exists():
            known, attempt = recorded_settings(place), int((last_start(place) or {}).get("attempt", 0))
            for path, value in moved.items():
                if dict(pick(known, [path]))[path] != value:
                    place.log_moved(attempt, path, value)
