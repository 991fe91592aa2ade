"""A small study in Ray, whole: what is recorded, kept, refused, and what a failing trial leaves."""

import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pytest
from ray.tune.execution.tune_controller import TuneController

from components.checkpoints import verify_checkpoint
from components.errors import InvalidInputError
from reports import StudyTables, epochs_table, load_trials
from reports.summary import status_lines
from tests.folders import png_folder
from tests.tunes_record import tunes_best
from tuning import Study, StudyConfig
from tuning.errors import StudyBusyError, StudyConfigError, StudyMismatchError, StudyPlaceError
from tuning.listener import Listener
from tuning.lock import study_lock
from tuning.record import Journal, StudyDirectory, TrialEntry, open_journal

pytestmark = pytest.mark.usefixtures("ray_session")
Make = Callable[..., StudyConfig]
LR = {"parameters": {"training.lr": {"float": [0.01, 0.1]}}}


def test_a_study_records_every_trial_and_keeps_its_best_checkpoint(study_config: Make, folder: Path) -> None:
    result = Study(study_config(), folder).run()
    assert not result.interrupted
    assert [trial.number for trial in result.trials] == [-1, -2, -3, -4, 0, 1, 2, 3]
    states = {trial.number: trial.state for trial in result.trials}
    assert {states[number] for number in (-1, -2, -3, -4)} == {"complete"}
    assert set(states.values()) <= {"complete", "pruned"}

    study, best = StudyDirectory(folder), tunes_best(folder / "attempts" / "01")
    for trial in result.trials:
        record = study.trial(trial.number)
        rows = record.epochs()
        assert {epoch: row["val_dice"] for epoch, row in rows.items()} == trial.dice
        assert json.loads(record.params.read_text()) == trial.overrides
        assert trial.best is not None
        cases = [case for case in record.case_scores() if case["epoch"] == trial.best[0]]
        assert fmean(case["dice"] for case in cases if case["dice"] is not None) == pytest.approx(trial.best[1])
        assert rows[trial.best[0]]["val_iou"] <= trial.best[1]
        line = record.best_checkpoint()
        assert line is not None
        assert trial.best is not None
        assert line["dice"] == trial.best[1]
        assert best[record.path.name] == str(folder / line["path"])
        kept = verify_checkpoint(folder / line["path"])
        assert (kept.epoch, kept.metrics["val_dice"]) == (line["epoch"], line["dice"])
        assert len(list(folder.glob(f"attempts/*/{record.path.name}/checkpoint_*"))) <= 2


def test_ray_tune_does_not_write_all_trials_anew_for_each_checkpoint(
    study_config: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, save = [], TuneController.save_to_dir

    def noted(controller: TuneController) -> None:
        written.append(controller)
        save(controller)

    monkeypatch.setattr(TuneController, "save_to_dir", noted)
    every = {"strategy": "epoch", "max_checkpoints": 2}
    config = study_config(search={"trials": 2, "baselines": False}, checkpoint=every, scheduler={"type": "none"})
    Study(config, folder).run()
    assert len(StudyDirectory(folder).trial(0).checkpoints()) in (2, 3)  # the two best and the latest, of four
    assert len(written) <= 2  # at the start and at the end


def test_the_tables_say_what_the_journal_says(study_config: Make, folder: Path) -> None:
    result = Study(study_config(), folder).run()
    table = load_trials(folder)
    assert list(table["number"]) == [trial.number for trial in result.trials]
    assert list(table["baseline"][:4]) == ["bce", "dice", "dice_bce", "dice_focal"]
    for row, trial in zip(table.itertuples(), result.trials, strict=True):
        assert trial.best is not None
        assert (row.best_epoch, row.best_dice) == trial.best
        assert (row.state, row.cause, row.epochs) == (trial.state, trial.cause, len(trial.dice))
        assert Path(str(row.checkpoint)).is_dir()
    epochs = epochs_table(folder)
    assert len(epochs) == table["epochs"].sum()
    assert {"number", "epoch", "val_dice", "val_dice_disc", "train_loss", "loss_dice", "weight_dice", "lr"} <= set(
        epochs
    )


def test_the_journal_is_a_plain_optuna_study(study_config: Make, folder: Path) -> None:
    result = Study(study_config(), folder).run()
    storage = Journal(folder / "journal.log", "small")._storage
    theirs = optuna.load_study(study_name="small", storage=storage)
    ours = [trial for trial in result.trials if trial.number >= 0]
    assert [trial.value for trial in theirs.trials] == [trial.best[1] for trial in ours if trial.best]
    complete = [trial.best[1] for trial in ours if trial.state == "complete" and trial.best]
    assert theirs.best_value == max(complete)


def epochs_of(folder: Path, number: int) -> list[dict[str, Any]]:
    rows = StudyDirectory(folder).trial(number).epochs()
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows.values()]


def test_a_trial_in_a_reused_worker_gives_bit_for_bit_what_a_fresh_one_gives(
    study_config: Make, tmp_path: Path
) -> None:
    def config(*, baselines: bool) -> StudyConfig:
        search = {"trials": 1, "baselines": baselines}
        return study_config(search=search, resources={"concurrent": 1}, scheduler={"type": "none"})

    Study(config(baselines=True), tmp_path / "reused").run()  # trial 0 comes after four baselines in the same worker
    Study(config(baselines=False), tmp_path / "fresh").run()
    assert epochs_of(tmp_path / "reused", 0) == epochs_of(tmp_path / "fresh", 0)
    assert len(epochs_of(tmp_path / "fresh", 0)) == 4


def failing(study_config: Make, **changes: Any) -> StudyConfig:
    return study_config(search={"trials": 2, "baselines": False}, **changes)


def by_number(trials: list[TrialEntry]) -> dict[int, TrialEntry]:
    return {trial.number: trial for trial in trials}


def test_a_trial_that_raises_is_failed_with_reason_and_log(study_config: Make, folder: Path) -> None:
    config = failing(study_config, model={"build": "tests.toys:untrainable_network"})
    trials = by_number(Study(config, folder).run().trials)
    assert [trial.state for trial in trials.values()] == ["failed", "failed"]
    assert trials[0].cause == (
        "ValueError: no step for 1 channels. "
        "Hint: it came from the network itself (Untrainable) of Untrainable, given 2×1×32×32."
    )
    log = StudyDirectory(folder).trial(0).log.read_text()
    assert "about to step" in log
    assert "in forward" in log


def test_a_full_disk_fails_no_trial_but_ends_the_attempt(study_config: Make, folder: Path, tmp_path: Path) -> None:
    filler = tmp_path / "filler"
    build = {"build": "tests.toys:full_disk_network", "arguments": {"filler": str(filler)}}
    study = Study(failing(study_config, model=build, resources={"concurrent": 1}), folder)
    filler.touch()
    with pytest.raises(StudyPlaceError, match=r"0000: OSError: .*No space left on device\. Hint: make space and run"):
        study.run()
    assert [(trial.state, max(trial.dice)) for trial in open_journal(StudyDirectory(folder)).trials()] == [
        ("running", 1)
    ]
    filler.unlink()
    trials = study.run().trials
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert [trial.number for trial in trials] == [0, 1]


def test_trials_find_the_modules_that_the_driver_finds(
    study_config: Make, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "mine_alone.py").write_text("from tests.toys import network\n")
    monkeypatch.syspath_prepend(code)  # as a notebook does, when Ray runs long since
    trials = Study(failing(study_config, model={"build": "mine_alone:network"}), folder).run().trials
    assert [trial.cause for trial in trials if trial.state == "failed"] == []


def test_a_loss_that_becomes_nan_fails_its_trial_and_the_others_go_on(study_config: Make, folder: Path) -> None:
    choice = {"choice": ["tests.toys:NaNLoss", "bce"]}
    config = study_config(
        search={
            "trials": 6,
            "baselines": False,
            "sampler": "random",
            "space": {"parameters": {"loss.terms.other.kind": choice}},
        },
        loss={"weights": {"dice": 0.5, "other": 0.5}},
        scheduler={"type": "none"},
    )
    result = Study(config, folder).run()
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert 0 < len(failed) < 6
    for trial in result.trials:
        expected = "failed" if "NaN" in trial.overrides["loss.terms.other.kind"] else "complete"
        assert trial.state == expected
    assert "other" in failed[0].cause
    assert "epoch 2" in failed[0].cause
    assert list(failed[0].dice) == [1]


def test_a_worker_that_dies_is_replaced_and_its_trial_goes_on(study_config: Make, folder: Path, tmp_path: Path) -> None:
    model = {"build": "tests.toys:dying_network", "arguments": {"done": str(tmp_path / "died")}}
    config = failing(study_config, model=model, resources={"concurrent": 1}, scheduler={"type": "none"})
    result = Study(config, folder).run()
    assert [(trial.number, trial.state, list(trial.dice)) for trial in result.trials] == [
        (0, "complete", [1, 2, 3, 4]),
        (1, "complete", [1, 2, 3, 4]),
    ]
    assert result.trials[0].deaths == 1
    log = StudyDirectory(folder).trial(0).log.read_text()
    assert "worker died" in log
    assert "going on after epoch 1" in log


def test_a_worker_that_always_dies_is_given_up(study_config: Make, folder: Path, tmp_path: Path) -> None:
    model = {"build": "tests.toys:dying_network", "arguments": {"done": str(tmp_path / "no" / "such" / "folder")}}
    config = failing(study_config, model=model, resources={"concurrent": 1, "retries": 0})
    result = Study(config, folder).run()
    assert [trial.state for trial in result.trials] == ["failed", "failed"]


def test_each_trial_has_the_threads_that_it_was_given(study_config: Make, folder: Path) -> None:
    config = failing(
        study_config, model={"build": "tests.toys:threads_network"}, resources={"concurrent": 1, "cpus_per_trial": 2}
    )
    Study(config, folder).run()
    assert "threads: 2" in StudyDirectory(folder).trial(0).log.read_text()


def test_running_a_finished_study_again_changes_nothing(study_config: Make, folder: Path) -> None:
    first = Study(study_config(), folder).run()
    journal = (folder / "journal.log").read_bytes()
    assert Study(study_config(), folder).run().trials == first.trials
    assert (folder / "journal.log").read_bytes() == journal


def test_more_trials_may_be_asked_for_and_the_change_is_recorded(study_config: Make, folder: Path) -> None:
    first = Study(failing(study_config), folder).run()
    more = Study(study_config(search={"trials": 3, "baselines": False}), folder).run()
    assert more.trials[:2] == first.trials
    assert [trial.number for trial in more.trials] == [0, 1, 2]
    assert StudyDirectory(folder).attempts()[-2]["changed"] == {"search.trials": 3}


def test_other_settings_data_or_versions_are_refused_and_nothing_is_lost(study_config: Make, folder: Path) -> None:
    Study(failing(study_config), folder).run()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(StudyMismatchError, match=r"training\.lr: was 0\.03, now 0\.5"):
        Study(failing(study_config, training={"lr": 0.5}), folder).run()
    with pytest.raises(StudyMismatchError, match="belongs to other data"):
        Study(failing(study_config, data={"build": "tests.toys:other_data"}), folder).run()
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(text.replace("fingerprint: ", "fingerprint: 0"))
    with pytest.raises(StudyMismatchError, match="belongs to other data"):
        Study(failing(study_config), folder).run()
    (folder / "study.yaml").write_text(text.replace("format: 1", "format: 99"))
    with pytest.raises(StudyMismatchError, match="found format version 99, this segtune reads 1"):
        Study(failing(study_config), folder).run()
    (folder / "study.yaml").write_text(text)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_driver_is_refused_by_name(study_config: Make, folder: Path) -> None:
    study = StudyDirectory(folder)
    message = f"is being run by process {os.getpid()} on {socket.gethostname()} since"
    with study_lock(study), pytest.raises(StudyBusyError, match=message):
        Study(study_config(), folder).run()


def test_a_wrong_name_is_refused_before_anything_starts(study_config: Make, folder: Path) -> None:
    with pytest.raises(StudyConfigError, match=r"loss\.weights\.dise: there is no such loss\. Hint: did you mean dice"):
        Study(study_config(loss={"weights": {"dise": 1.0}}, search={"space": LR}), folder).run()
    with pytest.raises(StudyConfigError, match=r"model\.build: 'tests\.toys:nothing': the module 'tests\.toys' has no"):
        Study(study_config(model={"build": "tests.toys:nothing"}), folder).run()
    assert not (folder / "study.yaml").exists()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"parameters": {"training.learning": {"float": [0, 1]}}}, r"training has no setting 'learning'"),
        ({"parameters": {"search.trials": {"int": [1, 2]}}}, r"only settings of model, training, loss, checkpoint"),
        ({"parameters": {"training.epochs": {"int": [1, 2]}}}, r"must be the same for all trials"),
    ],
)
def test_a_space_over_no_setting_is_refused_before_anything_starts(
    study_config: Make, folder: Path, space: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyConfigError, match=message):
        Study(study_config(search={"space": space}), folder).run()
    assert not (folder / "study.yaml").exists()


def test_a_clock_that_was_set_back_by_a_day_changes_nothing(study_config: Make, tmp_path: Path) -> None:
    whole = Study(study_config(), tmp_path / "whole").run().trials
    cut = Study(study_config(stop={"epochs": 9}), tmp_path / "cut").run()
    assert cut.stopped.startswith("stop.epochs")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for path in (tmp_path / "cut").rglob("*"):  # what was written before is of tomorrow
        if path.name in ("attempts.jsonl", "study.yaml", "journal.log"):
            path.write_text(path.read_text().replace(f"{datetime.now(UTC):%Y-%m-%d}", f"{tomorrow:%Y-%m-%d}"))
        os.utime(path, (tomorrow.timestamp(), tomorrow.timestamp()))
    again = Study(study_config(stop={"minutes": 30}), tmp_path / "cut").run()
    assert not again.stopped
    assert {(trial.number, trial.state) for trial in again.trials if trial.number < 0} == {
        (trial.number, trial.state) for trial in whole if trial.number < 0
    }
    assert status_lines(StudyTables(tmp_path / "cut"), running=False)


def test_a_file_that_goes_while_the_study_runs_is_missed_only_when_it_is_read_again(tmp_path: Path) -> None:
    class Removes(Listener):
        def epoch_done(self, number: int, row: dict[str, Any]) -> None:
            del number, row
            (root / "images" / "case_1.png").unlink(missing_ok=True)

    root = png_folder(tmp_path / "data")
    settings = {
        "name": "discs",
        "data": {"root": str(root)},
        "training": {"epochs": 2, "batch": 2},
        "search": {"trials": 2, "baselines": False},
        "scheduler": {"type": "none"},
    }
    config = StudyConfig.load(settings)
    assert {trial.state for trial in Study(config, tmp_path / "study").run(Removes()).trials} == {"complete"}
    for study in (Study(config, tmp_path / "study"), Study.open(tmp_path / "study")):
        with pytest.raises(InvalidInputError, match=r"masks/case_1\.png: no image of this stem"):
            study.extend(1)
    assert len(Study.open(tmp_path / "study").results()) == 2
