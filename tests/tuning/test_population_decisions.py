"""What a population decides, and that it can be killed in between: on real directories, without Ray."""

import json
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
from torch import nn

from components.checkpoints import TrainingState, verify_checkpoint, write_checkpoint
from search_spaces import Space
from tuning import StudyConfig
from tuning.listener import Listener
from tuning.outcome import Judge
from tuning.population import Populations
from tuning.record import Journal, StudyDirectory, append_line, trial_name
from tuning.recovery import Unfinished, index_line

DICE = (0.9, 0.1, 0.5, 0.7)
SETTINGS = {
    "name": "toy",
    "data": {"root": "x"},
    "training": {"epochs": 6},
    "search": {"trials": 8, "space": {"parameters": {"training.lr": {"float": [0.001, 0.1], "log": True}}}},
    "scheduler": {"type": "pbt", "population": 4, "interval": 2, "resample": 0.0},
}


class Scene:
    """A population of four whose trials stand at epoch 2."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.directory, self.config = StudyDirectory(root), StudyConfig.load(SETTINGS)
        self.journal = Journal(self.directory.journal, "toy")
        self.space = Space.from_config(self.config.search.space)
        for dice in DICE:
            number = self.journal.next_number()
            self.journal.ask(optuna.samplers.RandomSampler())
            self.journal.set_overrides(number, {"training.lr": 0.01 * (number + 1)})
            self.directory.trial(number).path.mkdir(parents=True)
            for epoch in (1, 2):
                self.train(number, epoch, dice * epoch / 2)

    def train(self, number: int, epoch: int, dice: float) -> None:
        trial = self.directory.trial(number)
        folder = self.directory.attempt(1) / trial_name(number) / f"checkpoint_{epoch:06d}"
        row = {"epoch": epoch, "val_dice": dice, "trained_by": number}
        state = TrainingState(nn.Linear(1, 1))
        record = write_checkpoint(folder, state, epoch=epoch, metrics=row, kind="rung")
        append_line(trial.metrics, row)
        append_line(trial.index, index_line(str(folder.relative_to(self.directory.root)), record))
        self.journal.report(number, epoch, dice)

    def advance(self) -> list[Unfinished]:
        judge = Judge(self.directory, self.config.search)
        populations = Populations(self.config, self.space, self.directory, self.journal, judge, Listener())
        running = [entry for entry in self.journal.trials() if entry.state == "running"]
        unfinished = [
            Unfinished(entry.number, entry.overrides, self.directory.trial(entry.number).checkpoints())
            for entry in running
        ]
        return populations.advance(unfinished)

    def record(self) -> dict[int, Any]:
        found = {}
        for entry in self.journal.trials():
            trial = self.directory.trial(entry.number)
            lines = [{**line, "path": ""} for line in trial.checkpoints()]
            found[entry.number] = (entry, trial.epochs(), json.dumps(lines), trial.case_scores())
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "study")


def test_the_last_goes_on_from_the_first_with_a_moved_setting(scene: Scene) -> None:
    going = {trial.number: trial for trial in scene.advance()}
    assert sorted(going) == [0, 1, 2, 3]
    (clone,) = scene.journal.entry(1).clones
    assert (clone.epoch, clone.source, clone.dice) == (2, 0, 0.1)
    assert clone.taken == {"training.lr": 0.01}
    lr = clone.settings["training.lr"]
    assert lr in (0.01 * 0.8, 0.01 * 1.2)
    assert going[1].overrides == {"training.lr": lr}
    assert going[1].start == {"lr_factor": pytest.approx(lr / 0.01), "best": 0.9}
    last = going[1].checkpoints[-1]
    assert (last["epoch"], last["dice"], last["cloned_from"]) == (2, 0.9, 0)
    assert verify_checkpoint(scene.directory.root / last["path"]).epoch == 2
    assert scene.directory.trial(1).epochs()[2] == {"epoch": 2, "val_dice": 0.9, "trained_by": 0, "cloned_from": 0}
    assert [going[number].overrides for number in (0, 2, 3)] == [{"training.lr": lr} for lr in (0.01, 0.03, 0.04)]
    assert [going[number].start for number in (0, 2, 3)] == [None] * 3


def test_a_population_waits_for_its_last_trial(scene: Scene) -> None:
    number = scene.journal.next_number() - 1
    shutil.rmtree(scene.directory.root / scene.directory.trial(number).checkpoints()[-1]["path"])
    assert [trial.number for trial in scene.advance()] == [number]
    assert scene.journal.generations(0) == {}


@pytest.mark.parametrize("place", ["note_generation", "report", "note_clone"])
def test_a_decision_that_was_cut_off_is_carried_out_as_it_was_made(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    shutil.copytree(scene.directory.root, tmp_path / "whole")
    whole = Scene.__new__(Scene)
    whole.__dict__ |= scene.__dict__ | {"directory": StudyDirectory(tmp_path / "whole")}
    whole.journal = Journal(whole.directory.journal, "toy")
    expected = whole.advance()

    said = getattr(scene.journal, place)

    def killed(*facts: Any) -> None:
        said(*facts)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scene.journal, place, killed)
        with pytest.raises(KeyboardInterrupt):
            scene.advance()
    going = scene.advance()
    assert [(t.number, t.overrides, t.start) for t in going] == [(t.number, t.overrides, t.start) for t in expected]
    assert scene.record() == whole.record()


def test_a_trial_whose_copy_is_damaged_fails_with_the_reason(scene: Scene) -> None:
    copy = {trial.number: trial for trial in scene.advance()}[1].checkpoints[-1]["path"]
    shutil.rmtree(scene.directory.root / copy)
    assert sorted(trial.number for trial in scene.advance()) == [0, 2, 3]
    entry = scene.journal.entry(1)
    assert entry.state == "failed"
    assert entry.cause.startswith("its checkpoints are damaged: nothing to go on with")


def test_the_next_population_begins_when_the_last_has_ended(scene: Scene) -> None:
    judge = Judge(scene.directory, scene.config.search)
    populations = Populations(scene.config, scene.space, scene.directory, scene.journal, judge, Listener())
    assert populations.may_draw(3)
    assert not populations.may_draw(4)
    for number in range(4):
        scene.journal.note_stop(number, "complete", "budget")
        scene.journal.finish(number)
    assert populations.may_draw(4)
