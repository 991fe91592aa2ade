"""What a start finds after a kill, put in order: on real directories, without Ray Tune."""

import shutil
from pathlib import Path

import pytest
from torch import nn

from components.checkpoints import CheckpointRecord, TrainingState, write_checkpoint
from tuning.config import SchedulerConfig, SearchConfig
from tuning.outcome import Judge
from tuning.record import Journal, StudyDirectory, append_line
from tuning.recovery import Unfinished, index_line, recover
from tuning.scheduler import StudyScheduler


class Scene:
    """A study with one baseline (so that no rung stops it) that was reported up to some epoch."""

    def __init__(self, root: Path) -> None:
        self.directory = StudyDirectory(root)
        self.root = root
        root.mkdir()
        self.journal = Journal(self.directory.journal, "toy")
        self.number = self.journal.new_baseline("dice", {"loss.weights": {"dice": 1.0}})
        self.trial = self.directory.trial(self.number)
        self.trial.path.mkdir(parents=True)

    def epoch(self, epoch: int, dice: float) -> None:
        append_line(self.trial.metrics, {"epoch": epoch, "val_dice": dice})
        self.journal.report(self.number, epoch, dice)

    def checkpoint(self, epoch: int, dice: float, attempt: str = "01") -> CheckpointRecord:
        folder = self.root / "attempts" / attempt / "b01" / f"checkpoint_{epoch:06d}"
        metrics = {"epoch": epoch, "val_dice": dice}
        return write_checkpoint(folder, TrainingState(nn.Linear(1, 1)), epoch=epoch, metrics=metrics, kind="best")

    def index(self, record: CheckpointRecord) -> None:
        append_line(self.trial.index, index_line(str(record.path.relative_to(self.root)), record))

    def recover(self, epochs: int = 9, keep: int | None = 1) -> list[Unfinished]:
        judge = Judge(self.directory, SearchConfig())
        return recover(self.directory, self.journal, StudyScheduler(SchedulerConfig(), epochs), judge, keep=keep)

    def folders(self) -> list[int]:
        return sorted(int(path.name[-6:]) for path in self.root.glob("attempts/*/b01/checkpoint_*"))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "study")


def test_a_trial_goes_on_from_its_last_checkpoint_and_later_rows_are_forgotten(scene: Scene) -> None:
    for epoch in (1, 2, 3):
        scene.epoch(epoch, 0.1 * epoch)
    scene.index(scene.checkpoint(2, 0.2))
    (again,) = scene.recover()
    assert again.overrides == {"loss.weights": {"dice": 1.0}}
    assert [line["epoch"] for line in again.checkpoints] == [2]
    assert list(scene.trial.epochs()) == [1, 2]
    assert list(scene.journal.entry(-1).dice) == [1, 2, 3]


def test_a_checkpoint_persisted_before_the_kill_but_not_reported_is_taken_up(scene: Scene) -> None:
    scene.epoch(1, 0.1)
    scene.checkpoint(2, 0.25)
    (again,) = scene.recover()
    assert [line["epoch"] for line in again.checkpoints] == [2]
    assert scene.journal.entry(-1).dice == {1: 0.1, 2: 0.25}
    assert scene.trial.epochs()[2]["val_dice"] == 0.25


def test_a_checkpoint_of_an_epoch_that_was_trained_again_is_taken_up_with_its_row(scene: Scene) -> None:
    scene.epoch(1, 0.1)
    scene.epoch(2, 0.2)
    scene.index(scene.checkpoint(1, 0.1))
    scene.recover()
    scene.checkpoint(2, 0.25, attempt="02")  # and killed before it was reported
    (again,) = scene.recover()
    assert [line["epoch"] for line in again.checkpoints] == [2]
    assert scene.trial.epochs()[2]["val_dice"] == 0.25
    assert scene.journal.entry(-1).dice == {1: 0.1, 2: 0.25}


def test_rows_that_a_power_cut_took_come_back_from_the_checkpoints(scene: Scene) -> None:
    scene.epoch(1, 0.1)
    scene.epoch(2, 0.2)
    for epoch in (1, 2):
        scene.index(scene.checkpoint(epoch, 0.1 * epoch))
    rows = scene.trial.epochs()
    for path in (scene.trial.metrics, scene.trial.index):  # of a line not yet written, a disk may show zeros
        whole, _, torn = path.read_bytes().rstrip(b"\n").rpartition(b"\n")
        path.write_bytes(whole + b"\n" + bytes(len(torn)))
    (again,) = scene.recover(keep=None)
    assert [line["epoch"] for line in again.checkpoints] == [1, 2]
    assert scene.trial.epochs() == rows
    assert scene.journal.entry(-1).dice == {1: 0.1, 2: 0.2}


def test_the_last_epoch_taken_up_so_ends_the_trial(scene: Scene) -> None:
    scene.epoch(1, 0.1)
    scene.checkpoint(2, 0.25)
    assert scene.recover(epochs=3) != []
    scene.checkpoint(3, 0.3)
    assert scene.recover(epochs=3) == []
    assert (scene.journal.entry(-1).state, scene.journal.entry(-1).best) == ("complete", (3, 0.3))


def test_a_half_copied_checkpoint_is_set_aside_and_the_older_one_used(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.epoch(1, 0.1)
    scene.index(scene.checkpoint(1, 0.1))
    torn = scene.checkpoint(2, 0.2)
    (torn.path / "manifest.json").unlink()
    (again,) = scene.recover()
    assert [line["epoch"] for line in again.checkpoints] == [1]
    assert "set aside a damaged checkpoint" in caplog.text
    assert (torn.path.parent / ".damaged-checkpoint_000002").is_dir()


def test_best_and_latest_stay_over_all_attempts_and_the_rest_goes(scene: Scene) -> None:
    for epoch, dice in enumerate((0.5, 0.9, 0.3, 0.4), start=1):
        scene.epoch(epoch, dice)
        scene.index(scene.checkpoint(epoch, dice, attempt=f"{1 + epoch // 3:02d}"))
    (again,) = scene.recover(keep=1)
    assert [line["epoch"] for line in again.checkpoints] == [2, 4]
    assert scene.folders() == [2, 4]


def test_what_no_epoch_belongs_to_is_removed(scene: Scene) -> None:
    scene.epoch(1, 0.1)
    scene.index(scene.checkpoint(1, 0.1))
    scene.checkpoint(7, 0.7)  # far ahead of the journal
    shutil.copytree(scene.root / "attempts" / "01" / "b01", scene.root / "attempts" / "02" / "b01")  # written twice
    (again,) = scene.recover(keep=None)
    assert [line["epoch"] for line in again.checkpoints] == [1]
    assert scene.folders() == [1]


def test_an_end_that_was_decided_is_told(scene: Scene) -> None:
    scene.epoch(1, 0.4)
    scene.journal.note_stop(-1, "failed", "ValueError: no")
    assert scene.recover() == []
    assert (scene.journal.entry(-1).state, scene.journal.entry(-1).cause) == ("failed", "ValueError: no")
    assert scene.recover() == []
