"""Averages of weights in a trial: what is validated and saved, going on bit for bit, the same training."""

import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.checkpoints import CheckpointRecord, verify_checkpoint
from reports import epochs_table
from tests.conftest import small_settings
from tuning import Study, StudyConfig
from tuning.data import load_data
from tuning.errors import StudyConfigError
from tuning.export import export_trial
from tuning.fold import FoldTraining
from tuning.store import TuneStore

EPOCHS = 6


class Trial:
    """A trial without Ray: staged checkpoints are moved to a folder, as Ray Tune does."""

    def __init__(self, folder: Path, *, lr: float = 0.03, **checkpoint: Any) -> None:
        folder.mkdir(exist_ok=True)
        settings = small_settings(
            training={"epochs": EPOCHS, "lr": lr}, checkpoint={"strategy": "epoch", "max_checkpoints": 9, **checkpoint}
        )
        self.folder, self.config = folder, StudyConfig.load(settings)

    def records(self) -> list[CheckpointRecord]:
        return [verify_checkpoint(path) for path in sorted(self.folder.glob("epoch_*"))]

    def run(self, until: int = EPOCHS) -> list[dict[str, Any]]:
        store = TuneStore(self.folder / "staging", self.records(), lambda: self.folder.glob("epoch_*"))
        fold = FoldTraining(self.config, load_data(self.config.data)[0], store, number=0, trial=0)
        rows = []
        for row in fold.epochs([]):
            assert store.staged is not None
            shutil.copytree(store.staged.path, self.folder / f"epoch_{row['epoch']:02d}")
            store.discard()
            rows.append({name: value for name, value in row.items() if name != "seconds"})
            if row["epoch"] == until:
                break
        return rows

    def weights(self, epoch: int) -> dict[str, torch.Tensor]:
        return load_file(self.folder / f"epoch_{epoch:02d}" / "model.safetensors")


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, list[dict[str, Any]]]:
    trial = Trial(tmp_path_factory.mktemp("plain"))
    return trial, trial.run()


@pytest.mark.parametrize("averaging", ["ema", "swa", "soup"])
def test_an_interrupted_trial_goes_on_bit_for_bit(tmp_path: Path, averaging: str) -> None:
    options: dict[str, Any] = {"averaging": averaging, "swa_start": 0.3, "compare_averages": averaging == "ema"}
    whole, interrupted = Trial(tmp_path / "whole", **options), Trial(tmp_path / "interrupted", **options)
    rows = whole.run()
    assert interrupted.run(until=3) + interrupted.run() == rows
    for epoch in range(1, EPOCHS + 1):
        assert_same(whole.weights(epoch), interrupted.weights(epoch))
        state = f"epoch_{epoch:02d}/state.safetensors"
        assert_same(load_file(whole.folder / state), load_file(interrupted.folder / state))


def test_comparing_averages_changes_nothing_in_the_training(
    tmp_path: Path, plain: tuple[Trial, list[dict[str, Any]]]
) -> None:
    trial, rows = plain
    compared = Trial(tmp_path / "compared", compare_averages=True)
    found = compared.run()
    for epoch in range(1, EPOCHS + 1):
        assert_same(trial.weights(epoch), compared.weights(epoch))
    for row, other in zip(rows, found, strict=True):
        assert {name: value for name, value in other.items() if name in row} == row
        assert other["dice_of_raw"] == row["val_dice"]
        assert {"dice_of_ema", "dice_of_swa"} <= other.keys()
    assert [row["dice_of_swa"] == row["dice_of_raw"] for row in found][:4] == [True] * 4  # it begins after 3/4 of 6
    assert found[-1]["dice_of_soup"] >= max(row["val_dice"] for row in rows)
    assert "dice_of_soup" not in found[0]


def test_with_ema_the_average_is_validated_and_saved(tmp_path: Path, plain: tuple[Trial, list[dict[str, Any]]]) -> None:
    ema = Trial(tmp_path / "ema", averaging="ema", ema_decay=0.9, compare_averages=True)
    rows = ema.run()
    assert [row["dice_of_ema"] for row in rows] == [row["val_dice"] for row in rows]
    assert [row["dice_of_raw"] for row in rows] == [row["val_dice"] for row in plain[1]]
    assert any(not torch.equal(value, plain[0].weights(4)[name]) for name, value in ema.weights(4).items())


def test_swa_is_the_mean_of_the_last_epochs(tmp_path: Path, plain: tuple[Trial, list[dict[str, Any]]]) -> None:
    swa = Trial(tmp_path / "swa", averaging="swa", swa_start=0.5)
    swa.run()
    assert_same(swa.weights(3), plain[0].weights(3))
    for name, value in swa.weights(6).items():
        parts = [plain[0].weights(epoch)[name] for epoch in (4, 5, 6)]
        torch.testing.assert_close(value, torch.stack(parts).mean(0))


def test_a_soup_that_does_not_gain_leaves_the_trial_as_it_is(
    tmp_path: Path, plain: tuple[Trial, list[dict[str, Any]]]
) -> None:
    soup = Trial(tmp_path / "soup", averaging="soup", max_checkpoints=4)
    rows = soup.run()
    assert rows[-1].pop("soup_size") == 1
    assert rows == plain[1]
    assert_same(soup.weights(EPOCHS), plain[0].weights(EPOCHS))


def test_a_soup_that_gains_is_the_mean_of_checkpoints_and_is_what_the_trial_hands_over(tmp_path: Path) -> None:
    plain, soup = Trial(tmp_path / "plain", lr=0.1), Trial(tmp_path / "soup", averaging="soup", lr=0.1)
    before, rows = plain.run(), soup.run()
    assert rows[:-1] == before[:-1]
    assert rows[-1]["val_dice"] > max(row["val_dice"] for row in before)
    assert rows[-1]["soup_size"] == 2
    pairs = combinations([plain.weights(epoch) for epoch in range(1, EPOCHS + 1)], 2)
    means = [{name: (one[name].double() + two[name].double()).div(2).float() for name in one} for one, two in pairs]
    made = soup.weights(EPOCHS)
    assert any(all(torch.equal(made[name], value) for name, value in mean.items()) for mean in means)
    record = verify_checkpoint(soup.folder / f"epoch_{EPOCHS:02d}")
    assert (record.kind, record.metrics["val_dice"]) == ("soup", rows[-1]["val_dice"])


def test_a_damaged_ingredient_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = Trial(tmp_path / "soup", averaging="soup")
    store = TuneStore(trial.folder / "staging", (), lambda: trial.folder.glob("epoch_*"))
    fold = FoldTraining(trial.config, load_data(trial.config.data)[0], store, number=0, trial=0)
    for row in fold.epochs([]):
        assert store.staged is not None
        folder = trial.folder / f"epoch_{row['epoch']:02d}"
        shutil.copytree(store.staged.path, folder)
        store.discard()
        if row["epoch"] == EPOCHS - 1:
            (folder / "model.safetensors").write_bytes(b"")
    assert (
        f"left out of the soup: {trial.folder / 'epoch_05' / 'model.safetensors'}: found 0 bytes"
        in capsys.readouterr().out
    )


@pytest.mark.usefixtures("ray_session")
def test_a_study_searches_averages_and_exports_what_won(folder: Path) -> None:
    space = {
        "parameters": {
            "checkpoint.averaging": {"choice": ["ema", "soup", "swa"]},
            "training.lr": {"float": [0.01, 0.1], "log": True},
        }
    }
    settings = small_settings(
        search={"trials": 4, "baselines": False, "space": space},
        scheduler={"type": "none"},
        checkpoint={"compare_averages": True},
    )
    result = Study(StudyConfig.load(settings), folder).run()
    assert {trial.state for trial in result.trials} == {"complete"}
    table = epochs_table(folder)
    assert {"dice_of_raw", "dice_of_ema", "dice_of_swa"} <= set(table)
    for trial in result.trials:
        exported = export_trial(folder, folder / f"export_{trial.number}", trial.number)
        assert exported.check["equal_masks"] == exported.check["cases"]


def test_a_soup_of_one_checkpoint_is_refused(study_config: Callable[..., StudyConfig]) -> None:
    with pytest.raises(StudyConfigError, match="a soup of one checkpoint"):
        study_config(checkpoint={"averaging": "soup", "max_checkpoints": 1})
    assert study_config(checkpoint={"averaging": "soup"}).keep == 3
    assert study_config().keep == 1
    assert study_config(search={"space": {"presets": ["checkpoint_strategies"]}}).keep == 3
    assert (
        study_config(search={"space": {"parameters": {"checkpoint.averaging": {"choice": ["none", "soup"]}}}}).keep == 3
    )
