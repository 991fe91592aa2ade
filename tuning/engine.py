"""Starts Ray quietly and runs one attempt of a study on Ray Tune."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import ray
from ray import tune

from tuning.config import ResourcesConfig
from tuning.errors import EngineError
from tuning.forks import MONAI, fork_server
from tuning.machine import concurrent_trials, usable_cpus
from tuning.not_pickled import NotPickled
from tuning.ray_folder import ray_folder
from tuning.record.layout import trial_name
from tuning.recorder import Recorder
from tuning.scheduler import StudyScheduler
from tuning.searcher import JournalSearcher
from tuning.socket_paths import start_hint
from tuning.trial import Shared, run_trial

# Read by Ray and Ray Tune when they start: each keeps them from what a study does itself, or does not need.
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # they would not be forks
    "RAY_DEDUP_LOGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # Tune's own snapshots are not used: the journal is the memory
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",  # of each checkpoint, for as long as the attempt goes on
}


@dataclass(frozen=True)
class Attempt:
    """What one attempt needs of Ray Tune.

    Attributes:
        folder: where Ray Tune puts the attempt's checkpoints.
    """

    folder: Path
    resources: ResourcesConfig
    shared: Shared
    searcher: JournalSearcher
    scheduler: StudyScheduler
    recorder: Recorder
    stopper: "StopFlag"


class StopFlag(NotPickled, tune.Stopper):  # type: ignore[misc]  # Ray is not typed
    """Stops the attempt cleanly once it is set."""

    def __init__(self) -> None:
        self.is_set, self.reason = False, ""

    def set(self, reason: str = "") -> None:
        """Ask for a clean stop; the reason is empty where a person asks. The first one counts."""
        if not self.is_set:
            self.is_set, self.reason = True, reason

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped here."""
        return False

    def stop_all(self) -> bool:
        """Whether the attempt ends now."""
        return self.is_set


class _NoReporter(NotPickled, tune.ProgressReporter):  # type: ignore[misc]  # Ray is not typed
    """Says nothing; the one that Ray Tune takes in a notebook clears what the cell has shown."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:  # noqa: FBT001, FBT002 - Ray's signature
        """Never."""
        return False


@contextlib.contextmanager
def ray_running(resources: ResourcesConfig, modules: Sequence[str] = (MONAI,)) -> Iterator[None]:
    """Have Ray run on this machine; one that runs already, as in a notebook, is used and left running.

    Args:
        resources: what trials get.
        modules: what trials will need beside what all of them do; imported once, see `forks`.

    Raises:
        EngineError: Ray does not start.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    if ray.is_initialized():
        yield
        return
    with _session_folder() as folder, fork_server(modules, resources.cpus_per_trial) as forks:
        try:
            ray.init(
                address="local",
                num_cpus=max(usable_cpus(), concurrent_trials(resources) * resources.cpus_per_trial),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
                _temp_dir=str(folder),
                runtime_env={"py_executable": forks.py_executable} if forks else None,
            )
        except Exception as error:
            raise EngineError(f"Ray does not start: {error}. {start_hint(error)}") from error
        try:
            _warm_up()
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _session_folder() -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(ray_folder())
        except OSError as error:
            raise EngineError(f"Ray does not start: {error}. {start_hint(error)}") from error
        yield folder


def _warm_up() -> None:
    """Have Ray start a worker at once, so that what workers import is there when the first trial starts."""
    ray.remote(lambda: None).remote()


def run_attempt(attempt: Attempt) -> None:
    """Run trials until the searcher has no more, or the stop flag is set.

    Raises:
        StudyPlaceError: a trial found a disk full.
        EngineError: Ray Tune itself failed.
    """
    resources = attempt.resources
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, shared=attempt.shared),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=attempt.searcher,
            scheduler=attempt.scheduler,
            num_samples=-1,
            max_concurrent_trials=concurrent_trials(resources),
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial_name(trial.config["number"]),
            trial_name_creator=lambda trial: trial_name(trial.config["number"]),
        ),
        run_config=tune.RunConfig(
            name=attempt.folder.name,
            storage_path=str(attempt.folder.parent),
            callbacks=[attempt.recorder],
            stop=attempt.stopper,
            verbose=0,
            progress_reporter=_NoReporter(),
            # Without `num_to_keep`: where it is set, Ray Tune writes all trials anew for each checkpoint.
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_score_attribute="checkpoint_dice", checkpoint_score_order="max"
            ),
        ),
    )
    with warnings.catch_warnings(), _quiet_logs(), contextlib.redirect_stdout(_WithoutRaylet(sys.stdout)):
        warnings.simplefilter("ignore")
        try:
            tuner.fit()
        except Exception as error:
            if attempt.recorder.error is not None:
                raise attempt.recorder.error from error
            why = str(error).rstrip().rpartition("\n")[2]  # of an error in a callback it has the whole traceback
            raise EngineError(f"Ray Tune failed: {type(error).__name__}: {why}") from error


class _WithoutRaylet(io.TextIOBase):
    """Hands text on, except what Ray prints of a worker's death: the trial's log and the progress say that."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._dropped = stream, False

    def write(self, text: str) -> int:
        ends_dropped = self._dropped and text == "\n"  # `print` writes the end of its line apart
        self._dropped = "(raylet)" in text
        return len(text) if self._dropped or ends_dropped else self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
    logger = logging.getLogger("ray")
    level, logger.level = logger.level, logging.CRITICAL
    try:
        yield
    finally:
        logger.level = level
