"""The attempts of one run: each hands the unfinished and the new trials to Ray Tune."""

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from search_spaces import Baseline, Space, make_sampler
from tuning.config import StudyConfig
from tuning.data import Folds
from tuning.engine import Attempt, StopFlag, run_attempt
from tuning.errors import EngineError
from tuning.identity import versions
from tuning.listener import Listener
from tuning.record import Journal, StudyDirectory
from tuning.record.jsonl import replace_text
from tuning.recorder import Recorder
from tuning.recovery import Unfinished, recover
from tuning.scheduler import StudyScheduler
from tuning.searcher import JournalSearcher
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
    folds: Folds
    space: Space
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
        self.directory.log_attempt(attempt, "start", **facts)
        started, how = time.monotonic(), "error"
        try:
            self._hand_to_ray(attempt)
            how = "interrupted" if self.stop.is_set else "finished"
        finally:
            self.directory.log_attempt(attempt, "end", how=how, seconds=round(time.monotonic() - started, 1))

    def _hand_to_ray(self, attempt: int) -> None:
        config, folder, keep = self.config, self.directory.attempt(attempt), self.config.keep
        scheduler = StudyScheduler(config.scheduler, config.budget)
        unfinished = recover(self.directory, self.journal, scheduler, keep=keep)
        recorder = Recorder(
            self.directory,
            self.journal,
            scheduler,
            attempt=folder,
            keep=keep,
            max_gib=config.checkpoint.max_gib,
            retries=config.resources.retries,
            listener=self.listener,
        )
        run_attempt(
            Attempt(
                folder=folder,
                keep=keep,
                resources=config.resources,
                shared=Shared(config, self.folds, str(self.directory.root)),
                searcher=JournalSearcher(self._assignments(unfinished)),
                scheduler=scheduler,
                recorder=recorder,
                stopper=self.stop,
            )
        )

    def _assignments(self, unfinished: list[Unfinished]) -> Iterator[dict[str, Any]]:
        """Configurations of the trials to run; each is drawn only when it is asked for."""
        for trial in unfinished:
            yield self._assign(trial.number, trial.overrides or self._draw_again(trial.number), trial.checkpoints)
        for baseline in self.usual[self.journal.count_baselines() :]:
            number = self.journal.new_baseline(baseline.name, baseline.overrides)
            yield self._assign(number, baseline.overrides)
        while (number := self.journal.next_number()) < self.config.search.trials:
            yield self._assign(number, self._draw(number, self.journal.ask(self._sampler(number))))

    def _draw(self, number: int, trial: Any) -> dict[str, Any]:
        overrides = self.space.suggest(trial)
        self.journal.set_overrides(number, overrides)
        return overrides

    def _draw_again(self, number: int) -> dict[str, Any]:
        """Settings of a trial that a kill left without any."""
        if number >= 0:
            return self._draw(number, self.journal.bring_back(number, self._sampler(number)))
        baseline = self.usual[-1 - number]
        self.journal.describe_baseline(number, baseline.name, baseline.overrides)
        return baseline.overrides

    def _sampler(self, number: int) -> Any:
        search = self.config.search
        return make_sampler(search.sampler, search.seed, number, n_startup_trials=search.startup_trials)

    def _assign(
        self, number: int, overrides: dict[str, Any], checkpoints: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        trial = self.directory.trial(number)
        trial.path.mkdir(parents=True, exist_ok=True)
        if not trial.params.exists():
            replace_text(trial.params, json.dumps(overrides, indent=2) + "\n")
        return {"number": number, "overrides": overrides, "checkpoints": checkpoints or []}

    def has_work(self) -> bool:
        """Whether a trial is unfinished or still to come."""
        unfinished = any(entry.state == "running" for entry in self.journal.trials())
        missing = self.journal.count_baselines() < len(self.usual)
        return unfinished or missing or self.journal.next_number() < self.config.search.trials

    def _events(self) -> int:
        """A number that grows with every epoch, end and death of a trial."""
        return sum(len(entry.dice) + entry.deaths + (entry.state != "running") for entry in self.journal.trials())
