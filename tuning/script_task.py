"""The task of a study that runs a user's script: each trial is a process of it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.checkpoints.record import read_record
from components.save_decisions import Decision
from search_spaces import Baseline, Space, select_baselines
from tuning.config import ScriptConfig, StudyConfig
from tuning.drawing import check_drawing
from tuning.errors import ScriptError, StudyConfigError
from tuning.plan import check_space
from tuning.record import StudyDirectory
from tuning.script_process import ScriptProcess
from tuning.store import TuneStore
from tuning.task import Epoch, Wanted

_FILES = "files"  # folder of a trial that belongs to the script


@dataclass(frozen=True)
class ScriptTask:
    """Runs the script; see `Task`.

    Attributes:
        path: of the script.
        sha256: of its text when the run started.
        directory: where segtune was started, and the script is too.
        root: study directory.
    """

    path: Path
    sha256: str
    directory: Path
    root: Path

    @classmethod
    def open(cls, config: ScriptConfig, root: Path) -> "ScriptTask":
        """Find the script.

        Raises:
            StudyConfigError: it is missing or no Python.
        """
        path = Path(config.path).absolute()
        try:
            text = path.read_bytes()
            compile(text, str(path), "exec")
        except OSError as error:
            raise StudyConfigError(f"script.path: {path} cannot be read: {error.strerror}.") from error
        except (SyntaxError, ValueError) as error:
            raise StudyConfigError(f"script.path: {path} is no Python: {error}.") from error
        return cls(path, hashlib.sha256(text).hexdigest(), Path.cwd(), root)

    def check(self, config: StudyConfig) -> Space:
        """Read the search space. Only a run shows what the script does with it."""
        space = Space.from_config(config.search.space)
        check_space(space, config)
        check_drawing(config.search, space)
        return space

    def baselines(self, wanted: Wanted = True) -> tuple[Baseline, ...]:  # noqa: FBT002
        """The script with its own settings."""
        return select_baselines([Baseline("as_it_is", {})], wanted)

    def describe(self) -> dict[str, Any]:
        """The script; what data it reads is not known."""
        script = {"path": str(self.path), "sha256": self.sha256}
        return {"name": self.path.stem, "fingerprint": "of a script", "cases": {}, "script": script, "warnings": []}

    def plan(self) -> list[str]:
        """Which script runs where."""
        return [f"script    {self.path}, run in {self.directory}"]

    def notes(self, config: StudyConfig, space: Space) -> list[str]:
        """None."""
        del config, space
        return []

    def steps(self, config: StudyConfig) -> int | None:
        """Only the script knows."""

    def keep(self, study: StudyDirectory) -> None:
        """Nothing: only the script knows its data."""

    def test_scores(self, settings: StudyConfig, checkpoint: Path, epoch: int) -> list[dict[str, Any]]:
        """None: only the script knows its test data."""
        del settings, checkpoint, epoch
        return []

    def epochs(self, settings: StudyConfig, number: int, store: TuneStore) -> Iterator[Epoch]:
        """Run the script, and take what it reports."""
        command = [str(self.path), *(settings.script.arguments if settings.script else [])]
        facts, threads = self._told(settings, number, store), settings.resources.cpus_per_trial
        with ScriptProcess(command, facts, directory=self.directory, threads=threads) as process:
            reported = False
            for report in process.reports():
                reported = True
                for line in report["decisions"]:
                    store.decided(Decision.from_line(line))
                if report["checkpoint"] is not None:
                    store.save(report["checkpoint"], lambda folder: read_record(folder)[0])
                yield Epoch(report["row"], "", [])
                process.go_on()
            process.check_end()
        if not (reported or store.records()):
            raise ScriptError(f"{self.path.name}: ended without a report. Hint: call session.report after each epoch.")

    def _told(self, settings: StudyConfig, number: int, store: TuneStore) -> dict[str, Any]:
        """What the script's session is told."""
        checkpoint = settings.checkpoint
        files = StudyDirectory(self.root).trial(number).path / _FILES
        files.mkdir(parents=True, exist_ok=True)
        adaptive = checkpoint.strategy == "adaptive"
        return {
            "params": settings.script.params if settings.script else {},
            "folder": str(files),
            "staging": str(store.staging),
            "checkpoints": [str(record.path) for record in store.records()],
            "forced": [*settings.scheduler.rungs(settings.budget), settings.budget] if adaptive else [],
            "manager": {
                "model_name": settings.name,
                "save_strategy": checkpoint.strategy,
                "max_checkpoints": settings.keep,
                "interval_epochs": checkpoint.interval,
                "config": settings.model_dump(mode="json"),
            },
        }
