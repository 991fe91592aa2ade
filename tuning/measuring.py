"""How long an epoch takes on this machine, measured by training it."""

import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from tuning.config import StudyConfig
from tuning.output import captured_output
from tuning.store import TuneStore
from tuning.task import Task
from tuning.trial import Shared, trial_epochs


def measure_epoch(config: StudyConfig, task: Task, overrides: dict[str, Any], *, at_least: float = 0.0) -> float:
    """Seconds of an epoch of a trial, trained and validated in this process; nothing is kept.

    Args:
        config: of the study.
        task: of the study.
        overrides: settings of the trial, by dotted path.
        at_least: seconds for which epochs are trained; the shortest counts, since the first one also warms up.
    """
    threads, started, found = torch.get_num_threads(), time.monotonic(), []
    try:
        with TemporaryDirectory() as folder, captured_output(), torch.random.fork_rng():
            shared = Shared(config, task, folder)
            assignment = {"number": 0, "overrides": overrides, "checkpoints": []}
            with closing(trial_epochs(assignment, shared, TuneStore(Path(folder)))) as epochs:
                for epoch in epochs:
                    found.append(float(epoch.row["seconds"]))
                    if time.monotonic() - started >= at_least:
                        break
        return min(found)
    finally:
        torch.set_num_threads(threads)
