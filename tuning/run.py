"""The attempts of one run: each hands the unfinished and the new trials to Ray Tune."""

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from components.json_lines import replace_text
from search_spaces import Baseline
from tuning.config import StudyConfig
from tuning.dotted import import_paths
from tuning.drawing import Drawing
from tuning.drift import hash_code
from tuning.engine import Attempt, StopFlag, run_attempt
from tuning.errors import EngineError
from tuning.identity import versions
from tuning.listener import Listener
from tuning.outcome import Judge
from tuning.population import Populations
from tuning.race import Race
from tuning.record import Journal, StudyDirectory
from tuning.recorder import Recorder
from tuning.recovery import Unfinished, recover
from tuning.scheduler import StudyScheduler
from tuning.searcher import JournalSearcher
from tuning.task import Task
from tuning.trial import Shared


@dataclass(frozen=True)
class StudyRun:
    """One run of a study whose directory is locked and checked.

    Attributes:
        changed: settings that differ from the study's own, recorded with each attempt.
        usual: the baselines, in the order of their numbers -1, -2, …
    """

    config: StudyConfig
    directory: StudyDirectory
    journal: Journal
    task: Task
    drawing: Drawing
    usual: tuple[Baseline, ...]
    changed: dict[str, Any]
    stop: StopFlag
    listener: Listener

    def attempt_until_done(self) -> None:
        """Start attempts until every trial has ended or the run is stopped; more than one when a worker died."""
        while self.has_work() and not self.stop.is_set:
            before = self._events()
            self._attempt()
            if not self.stop.is_set and self._events() == before:
                raise EngineError(
                    f"{self.directory.root}: the last attempt brought no trial forward. "
                    "Hint: look into the trials' log.txt; run again with --debug."
                )

    def _attempt(self) -> None:
        attempt = max((event["attempt"] for event in self.directory.attempts()), default=0) + 1
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "changed": self.changed, "versions": versions()}
        facts |= {"code": hash_code(self.config)}
        self.directory.log_attempt(attempt, "start", **facts)
        started, how = time.monotonic(), "error"
        try:
            self._run_parts(attempt)
            how = "finished"
            if self.stop.is_set:
                how = "stopped" if self.stop.reason else "interrupted"
        except KeyboardInterrupt:
            how = "interrupted"
            raise
        finally:
            seconds, why = round(time.monotonic() - started, 1), self.stop.reason
            self.directory.log_attempt(
                attempt, "end", how=how, seconds=seconds, **({"reason": why} if how == "stopped" else {})
            )

    def _run_parts(self, attempt: int) -> None:
        """Hand the trials to Ray once; where they wait for each other at rungs, once for each time."""
        for part in count():
            before = self._events()
            self._hand_to_ray(self.directory.attempt(attempt, part))
            goes_on = self.config.scheduler.pauses and self._events() > before
            if self.stop.is_set or not (goes_on and self.has_work()):
                return

    def _hand_to_ray(self, folder: Path) -> None:
        config, keep = self.config, self.config.keep
        scheduler = StudyScheduler(config.scheduler, config.budget)
        judge = Judge(self.directory, config.search)
        unfinished = recover(self.directory, self.journal, scheduler, judge, keep=keep)
        rungs: Populations | Race | None = None
        if config.scheduler.type == "pbt":
            rungs = Populations(config, self.drawing.space, self.directory, self.journal, judge, self.listener)
        elif config.scheduler.type == "race":
            rungs = Race(config, len(self.usual), self.drawing.trials, self.journal, judge, self.listener)
        if rungs is not None:
            unfinished = rungs.advance(unfinished)
        recorder = Recorder(
            self.directory,
            self.journal,
            scheduler,
            keep=keep,
            max_gib=config.checkpoint.max_gib,
            retries=config.resources.retries,
            listener=self.listener,
            judge=judge,
        )
        run_attempt(
            Attempt(
                folder=folder,
                resources=config.resources,
                shared=Shared(config, self.task, str(self.directory.root), import_paths()),
                searcher=JournalSearcher(self._assignments(unfinished, rungs)),
                scheduler=scheduler,
                recorder=recorder,
                stopper=self.stop,
            )
        )

    def _assignments(self, unfinished: list[Unfinished], rungs: Populations | Race | None) -> Iterator[dict[str, Any]]:
        """Configurations of the trials to run; each is drawn only when it is asked for."""
        for trial in unfinished:
            overrides = trial.overrides or self._draw_again(trial.number)
            yield self._assign(trial.number, overrides, trial.checkpoints) | {"start": trial.start}
        for baseline in self.usual[self.journal.count_baselines() :]:
            number = self.journal.new_baseline(baseline.name, baseline.overrides)
            yield self._assign(number, baseline.overrides)
        while (number := self.journal.next_number()) < self.drawing.trials:
            if rungs is not None and not rungs.may_draw(number):
                return
            yield self._assign(number, self._draw(number, self.journal.ask(self.drawing.sampler(number))))

    def _draw(self, number: int, trial: Any) -> dict[str, Any]:
        overrides = self.drawing.space.suggest(trial)
        self.journal.set_overrides(number, overrides)
        return overrides

    def _draw_again(self, number: int) -> dict[str, Any]:
        """Settings of a trial that a kill left without any."""
        if number >= 0:
            return self._draw(number, self.journal.bring_back(number, self.drawing.sampler(number)))
        baseline = self.usual[-1 - number]
        self.journal.describe_baseline(number, baseline.name, baseline.overrides)
        return baseline.overrides

    def _assign(
        self, number: int, overrides: dict[str, Any], checkpoints: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        trial = self.directory.trial(number)
        trial.path.mkdir(parents=True, exist_ok=True)
        if not trial.params.exists():
            replace_text(trial.params, json.dumps(overrides, indent=2) + "\n")
        return {"number": number, "overrides": overrides, "checkpoints": checkpoints or [], "start": None}

    def has_work(self) -> bool:
        """Whether a trial is unfinished or still to come."""
        unfinished = any(entry.state == "running" for entry in self.journal.trials())
        missing = self.journal.count_baselines() < len(self.usual)
        return unfinished or missing or self.journal.next_number() < self.drawing.trials

    def _events(self) -> int:
        """A number that grows with every epoch, end and death of a trial."""
        return sum(len(entry.dice) + entry.deaths + (entry.state != "running") for entry in self.journal.trials())
