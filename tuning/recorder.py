"""The one writer of a study's record: what trials report goes to the journal and the trial folders here."""

import json
import time
from pathlib import Path
from typing import Any

from ray.tune import Callback

from components.plain_text import LOG_CHARACTERS, escape, shorten
from tuning.errors import StudyPlaceError
from tuning.failures import FULL_DISK, LOST_NODE, OUT_OF_MEMORY, death_kind
from tuning.listener import Listener
from tuning.not_pickled import NotPickled
from tuning.objective import OBJECTIVE
from tuning.outcome import Judge, tell_end
from tuning.record import Journal, StudyDirectory, append_line, note_decision
from tuning.retention import prune, prune_to_budget
from tuning.scheduler import StudyScheduler

_DEATHS = {OUT_OF_MEMORY: "memory ran out", LOST_NODE: "its machine was lost"}


class Recorder(NotPickled, Callback):  # type: ignore[misc]  # Ray is not typed
    """Ray Tune callback that writes the record, in an order that a kill at any line leaves recoverable.

    Args:
        directory: study directory.
        journal: opened for writing.
        scheduler: says why a trial was stopped.
        keep: best checkpoints kept a trial.
        max_gib: of all checkpoints of the study together.
        retries: deaths of a worker after which its trial is given up.
        listener: told of events after they are recorded.
        judge: measures objectives and constraints when a trial ends.
    """

    def __init__(
        self,
        directory: StudyDirectory,
        journal: Journal,
        scheduler: StudyScheduler,
        *,
        keep: int | None,
        max_gib: float | None,
        retries: int,
        listener: Listener,
        judge: Judge,
    ) -> None:
        self._directory = directory
        self._journal = journal
        self._scheduler = scheduler
        self._keep, self._max_gib = keep, max_gib
        self._retries = retries
        self._listener = listener
        self._judge = judge
        self.error: StudyPlaceError | None = None  # what ended the attempt; Ray Tune hands on no more than its text

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell the listener."""
        number = trial.config["number"]
        self._listener.trial_started(number, self._journal.entry(number).baseline)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record an epoch: log, row, what the scheduler decided, Dice, then the stop if it decided one.

        Raises:
            StudyPlaceError: the trial found a disk full. Every other trial would too, so that the attempt ends here and
                the trial stays unfinished.
        """
        number = trial.config["number"]
        folder = self._directory.trial(number)
        self._write_log(number, result["log"])
        if result.get("failure_kind") == FULL_DISK:
            self.error = StudyPlaceError(
                f"{folder.path}: {result['failure']}. Hint: make space and run the study again; the trial goes on."
            )
            raise self.error
        if "failure" not in result:
            told = json.loads(result.pop("told"))  # Ray Tune keeps the last result of every trial
            row = told["row"]
            append_line(folder.metrics, row)
            for decision in told["decisions"]:
                append_line(folder.decisions, decision)
            for case in told["cases"]:
                append_line(folder.cases, case)
            if decision := self._scheduler.decisions.pop(number, None):
                note_decision(self._directory.scheduler_log, decision)
            self._journal.report(number, row["epoch"], row[OBJECTIVE])
            self._listener.epoch_done(number, row)
            self._listener.worker_reported(number, result["pid"])
        stop = self._scheduler.stops.get(number)
        if stop:
            self._journal.note_stop(number, stop.state, stop.cause, stop.failure)

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        """Index the checkpoint that came with the last result."""
        result = trial.last_result
        folder = self._directory.trial(trial.config["number"])
        line = {
            "path": str(Path(checkpoint.path).relative_to(self._directory.root)),
            "epoch": result["epoch"],
            "dice": result["checkpoint_dice"],
            "sha256": result["checkpoint_sha256"],
            "bytes": result["checkpoint_bytes"],
        }
        append_line(folder.index, line)
        prune(folder, self._keep)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell the sampler, after the last checkpoint is indexed."""
        number = trial.config["number"]
        stop = self._journal.entry(number).stop
        if not stop and number not in self._scheduler.waiting:
            self._journal.note_stop(number, "complete", "ended by itself")
        if stop or number not in self._scheduler.waiting:
            self._finish(number)
        trial.run_metadata.metric_analysis.clear()  # Ray Tune's statistics: thousands of trials would fill the memory
        trial.run_metadata.metric_n_steps.clear()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The worker died: the trial stays unfinished for another start, until it has died too often."""
        number = trial.config["number"]
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace") if trial.error_file else ""
        self._write_log(number, f"the trial's worker died\n{text}")
        deaths = self._journal.note_death(number)
        if deaths > self._retries:
            kind = death_kind(text)
            cause = _DEATHS.get(kind, "killed from outside, or out of memory")
            self._journal.note_stop(number, "failed", f"its worker died {deaths} times: {cause}. See its log.txt", kind)
            self._finish(number)
        else:
            self._listener.trial_ended(self._journal.entry(number))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Let the listener redraw."""
        self._listener.tick()

    def _finish(self, number: int) -> None:
        tell_end(self._journal, self._judge, number)
        prune(self._directory.trial(number), self._keep)
        if self._max_gib is not None:
            prune_to_budget(self._directory, self._journal.trials(), self._max_gib)
        self._listener.trial_ended(self._journal.entry(number))

    def _write_log(self, number: int, text: str) -> None:
        if text:
            stamp = time.strftime("%H:%M:%S")
            text = escape(shorten(text, 2 * LOG_CHARACTERS))  # also what Ray says of a death
            with self._directory.trial(number).log.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.writelines(f"{stamp} {line}\n" for line in text.splitlines())
