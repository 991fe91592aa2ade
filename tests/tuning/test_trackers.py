"""TensorBoard, MLflow and W&B get a run a trial, in which it goes on, too; no tracker stops a study."""

import logging
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tuning import Study, StudyConfig
from tuning.record import StudyDirectory, TrialEntry
from tuning.trackers import make_tracking

Make = Callable[..., StudyConfig]
ENDED = TrialEntry(0, "complete", "budget of 3 epochs reached", {"training.lr": 0.1}, {1: 0.1, 2: 0.2, 3: 0.3})


@pytest.fixture
def directory(folder: Path) -> StudyDirectory:
    """A study directory with a trial whose settings are drawn."""
    study = StudyDirectory(folder)
    study.create({"settings": {}, "data": {}})
    study.trial(0).path.mkdir(parents=True)
    study.trial(0).params.write_text('{"training.lr": 0.1}')
    return study


def killed_and_resumed(config: StudyConfig, directory: StudyDirectory) -> None:
    """Epochs 1 and 2; then, in another attempt, 2 again and 3."""
    with closing(make_tracking(config, directory)) as told:
        told.trial_started(0, None)
        for epoch in (1, 2):
            told.epoch_done(0, {"epoch": epoch, "val_dice": epoch / 10, "note": "text"})
    with closing(make_tracking(config, directory)) as told:
        told.trial_started(0, None)
        for epoch in (2, 3):
            told.epoch_done(0, {"epoch": epoch, "val_dice": epoch / 10})
        told.trial_ended(ENDED)


def events(folder: Path) -> list[Any]:
    """All that a folder of TensorBoard holds: of each record its length, a checksum, the event, a checksum."""
    from tensorboardX.proto.event_pb2 import Event  # noqa: PLC0415

    found = []
    for path in sorted(folder.glob("events.*")):
        data, start = path.read_bytes(), 0
        while start < len(data):
            (length,) = struct.unpack_from("<Q", data, start)
            found.append(Event.FromString(data[start + 12 : start + 12 + length]))
            start += 16 + length
    return found


def test_tensorboard_goes_on_where_the_trial_does(study_config: Make, directory: StudyDirectory) -> None:
    killed_and_resumed(study_config(trackers={"tensorboard": True}), directory)
    curve: dict[int, float] = {}
    for event in events(directory.root / "tensorboard" / "0000"):
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            curve = {step: value for step, value in curve.items() if step < event.step}
        for value in event.summary.value:
            if value.tag == "val_dice":
                assert event.step not in curve
                curve[event.step] = round(value.simple_value, 4)
    assert curve == {1: 0.1, 2: 0.2, 3: 0.3}


@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy, to MLflow
def test_mlflow_keeps_one_run_a_trial(study_config: Make, directory: StudyDirectory, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="needs the extra `mlflow`")
    from mlflow import MlflowClient  # noqa: PLC0415

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    killed_and_resumed(study_config(trackers={"mlflow": uri, "project": "nuclei"}), directory)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("nuclei")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("trial 0", "FINISHED")
    assert run.data.params == {"training.lr": "0.1"}
    assert run.data.tags["segtune.cause"] == "budget of 3 epochs reached"
    history = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "val_dice")]
    assert sorted(history) == [(1, 0.1), (2, 0.2), (3, 0.3)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wandb_writes_offline_runs_of_one_id(study_config: Make, directory: StudyDirectory) -> None:
    pytest.importorskip("wandb", reason="needs the extra `wandb`")
    killed_and_resumed(study_config(trackers={"wandb": "offline"}), directory)
    runs = sorted((directory.root / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    identity = directory.read()["id"][:12]
    assert all(list(run.glob(f"run-{identity}-0000.wandb")) for run in runs)


@pytest.mark.usefixtures("ray_session")
def test_a_study_with_a_tracker_that_fails_goes_on_without_it(
    study_config: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = study_config(
        search={"trials": 2, "baselines": False}, trackers={"tensorboard": True}, scheduler={"type": "none"}
    )
    folder.mkdir()
    (folder / "tensorboard").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        result = Study(config, folder).run()
    assert [trial.state for trial in result.trials] == ["complete", "complete"]
    assert "TensorBoard is left out from here on: NotADirectoryError" in caplog.text


@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy, to MLflow
@pytest.mark.usefixtures("ray_session")
def test_the_trackers_of_a_study_have_what_its_record_has(study_config: Make, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="needs the extra `mlflow`")
    trackers = {"tensorboard": True, "mlflow": f"sqlite:///{tmp_path}/mlflow.db"}
    result = Study(study_config(search={"trials": 2}, trackers=trackers), folder).run()
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        logged = connection.execute(
            "select tags.value, step, metrics.value from metrics join tags using (run_uuid) "
            "where metrics.key = 'val_dice' and tags.key = 'segtune.trial'"
        ).fetchall()
    connection.close()
    found = {(int(identity.rpartition("/")[2]), step): value for identity, step, value in logged}
    assert found == {(trial.number, epoch): dice for trial in result.trials for epoch, dice in trial.dice.items()}
    assert len(list((folder / "tensorboard").iterdir())) == len(result.trials)
