"""Trials that failed are run again under the same number, and the record keeps why they failed."""

from pathlib import Path

import optuna
import torch
from torch import nn

from reports.journal import read_entries
from tests.conftest import small_settings
from tests.toys import network
from tuning import Study, StudyConfig
from tuning.record import Journal


class Fails(nn.Module):
    """Fails in training while a file is there."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file, self.steps = Path(file), 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        if self.steps > 8 and self.file.exists():
            raise ValueError("a fault of the code")
        return images


def failing_network(in_channels: int, out_channels: int, spatial_dims: int, *, file: str) -> nn.Module:
    return nn.Sequential(Fails(file), network(in_channels, out_channels, spatial_dims))


def test_a_failed_trial_comes_back_under_its_number_and_the_journal_keeps_both(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.log", "toy")
    for number in range(2):
        journal.ask(optuna.samplers.RandomSampler(0)).suggest_float("x", 0, 1)
        journal.report(number, 1, 0.5)
        journal.note_stop(number, "failed" if number == 0 else "complete", "why")
        journal.finish(number)
    for again in (1, 2):  # and once more
        journal.run_again(0)
        assert [(entry.number, entry.state) for entry in journal.trials()] == [(0, "running"), (1, "complete")]
        assert journal.entry(0).dice[1] == 0.5
        journal.report(0, 2, 0.6)
        journal.note_stop(0, "failed" if again == 1 else "complete", f"end {again}")
        journal.finish(0)
    read = Journal(tmp_path / "journal.log", "toy").trials()
    assert read[0].state == "complete"
    assert read[0].failed_before == ("why", "end 1")
    assert "run again, failed before: why" in read[0].cause
    assert journal.next_number() == 2


def test_a_study_runs_its_failed_trials_again(tmp_path: Path, ray_session: None) -> None:
    del ray_session
    broken = tmp_path / "broken"
    broken.touch()
    model = {"build": "tests.tuning.test_retry_failed:failing_network", "arguments": {"file": str(broken)}}
    settings = small_settings(model=model, search={"trials": 2}, scheduler={"type": "none"})
    settings["search"]["baselines"] = False
    study = Study(StudyConfig.load(settings), tmp_path / "study")
    assert {trial.state for trial in study.run().trials} == {"failed"}
    broken.unlink()
    assert {trial.state for trial in study.run().trials} == {"failed"}  # not unless it is asked for
    trials = study.run(retry_failed=True).trials
    assert [(trial.number, trial.state) for trial in trials] == [(0, "complete"), (1, "complete")]
    assert all("a fault of the code" in trial.failed_before[0] for trial in trials)
    problems: list[str] = []
    assert read_entries(study.directory, study.directory.read(), problems) == trials
    assert problems == []
