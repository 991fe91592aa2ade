"""One trial on Ray Tune: a thin adapter from sampled settings over the components to `tune.report`."""

import json
import traceback
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune

from components.checkpoints import CheckpointRecord, verify_checkpoint
from components.plain_text import BoundedText, error_text, tame
from components.training.memory import memory_hint
from components.training.module_hint import module_hint
from tuning.config import StudyConfig
from tuning.dotted import add_import_paths
from tuning.errors import ScriptError, TrialExitError
from tuning.failures import failure_kind
from tuning.objective import OBJECTIVE, dice_of_weights
from tuning.output import captured_output
from tuning.record import checkpoint_folders, trial_name
from tuning.store import Start, TuneStore, staging_folder
from tuning.task import Epoch, Task


@dataclass(frozen=True)
class Shared:
    """What all trials of a study share: held once in Ray's object store and read without a copy."""

    study: StudyConfig
    task: Task
    root: str
    import_paths: tuple[str, ...] = ()


def run_trial(config: dict[str, Any], shared: Shared) -> None:
    """Train one trial and report each epoch to Ray Tune.

    An error of the trial's own (its code, its settings, a loss that is NaN) is reported as a failure; the worker lives
    on for the next trial. Ray sees an error only when the worker itself dies.

    Args:
        config: `number`, `overrides` by dotted path, `checkpoints` (index lines of earlier attempts), and `start`
            where the last of these is another trial's.
        shared: study and task.
    """
    add_import_paths(shared.import_paths)
    with captured_output() as output, staging_folder(shared.root) as staging:
        try:
            records = [verify_checkpoint(Path(shared.root) / line["path"]) for line in config["checkpoints"]]
            trial = trial_name(config["number"])
            folders = partial(checkpoint_folders, Path(shared.root), trial)
            store = TuneStore(staging, records, folders, Start(**config["start"]) if config["start"] else None)
            with closing(trial_epochs(config, shared, store)) as epochs:
                for row, ended, cases in epochs:
                    decisions = [json.loads(decision.to_line()) for decision in store.take_decisions()]
                    # As text: of each number that it sees in a result, Ray Tune keeps a statistic for good.
                    told = json.dumps({"row": row, "decisions": decisions, "cases": cases})
                    facts = {"epoch": row["epoch"], "told": told, "log": output.take()}
                    _report({OBJECTIVE: row[OBJECTIVE], **facts} | ({"ended": ended} if ended else {}), store.staged)
                    store.discard()
        except Exception as error:  # noqa: BLE001 - whatever the trial raises is its result
            if isinstance(error, ScriptError | TrialExitError):  # what there is of a traceback is in the log already
                failure = tame(str(error))
            else:
                _print_traceback(error, output)
                failure = _sentences(error_text(error), memory_hint(error) or module_hint(error))
            facts = {"failure": failure, "failure_kind": failure_kind(error), "log": output.take()}
            tune.report({"epoch": 0, OBJECTIVE: float("nan"), **facts})


def _sentences(text: str, hint: str) -> str:
    """An error's text with a hint behind it, as sentences."""
    stop = "" if not hint or text.endswith((".", "!", "?", ")")) else "."
    return f"{text}{stop} {hint}".rstrip()


def trial_epochs(config: dict[str, Any], shared: Shared, store: TuneStore) -> Generator[Epoch]:
    """What the study's task yields for a trial's settings.

    Raises:
        TrialExitError: the trial's code asked Python to end; the worker lives on for the next trial.
    """
    settings = shared.study.with_overrides(config["overrides"])
    try:
        yield from shared.task.epochs(settings, config["number"], store)
    except (SystemExit, KeyboardInterrupt) as error:
        raise TrialExitError(
            f"the trial's code raised {type(error).__name__}, which ends a program: {error}"
        ) from error


def _print_traceback(error: Exception, output: BoundedText) -> None:
    try:
        output.write("".join(traceback.format_exception(error)))
    except Exception:  # noqa: BLE001 - it asks the error for its text, which is a stranger's method
        output.write(f"{error_text(error)}; its traceback cannot be made\n")


def _report(result: dict[str, Any], checkpoint: CheckpointRecord | None) -> None:
    if checkpoint is None:
        tune.report(result)
        return
    facts = {
        "checkpoint_dice": dice_of_weights(checkpoint.metrics),
        "checkpoint_sha256": checkpoint.manifest_sha256,
        "checkpoint_bytes": checkpoint.bytes,
    }
    tune.report(result | facts, checkpoint=tune.Checkpoint.from_directory(str(checkpoint.path)))
