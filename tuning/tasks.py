"""From a study's settings to its task."""

from pathlib import Path

from tuning.config import StudyConfig
from tuning.data import load_data
from tuning.network_task import NetworkTask
from tuning.script_task import ScriptTask
from tuning.task import Task


def open_task(config: StudyConfig, root: Path) -> Task:
    """Load the data, or find the script.

    Args:
        config: of the study.
        root: study directory.

    Raises:
        StudyConfigError: the settings do not fit.
        InvalidInputError: the data have problems.
    """
    return NetworkTask(load_data(config.data)) if config.script is None else ScriptTask.open(config.script, root)
