"""Secrets come from the environment by reference: recorded as the reference, found nowhere, shown nowhere."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import InvalidInputError
from components.references import masked, resolve
from reports import load_trials
from tests.commands import ROOT, segtune_here
from tests.conftest import small_settings
from tests.toys import tiny_data
from tuning import Study, StudyConfig
from tuning.engine import ray_running
from tuning.errors import StudyConfigError, StudyPlaceError
from tuning.ray_folder import ray_folder

CANARY = "canary-7f3a91c2"
Make = Callable[..., StudyConfig]


def data_with_password(password: str) -> Any:
    """Data that need a password."""
    assert password == CANARY
    return tiny_data()


def files_with(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_reference_is_the_value_where_it_is_used_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", CANARY)
    assert resolve("postgresql://me:${DB_PASSWORD}@host/x", "storage.url") == f"postgresql://me:{CANARY}@host/x"
    assert masked(f"it says {CANARY}") == "it says ${DB_PASSWORD}"
    assert masked({"url": ["redis://:other@host", "http://me@host", "a:b@c"]}) == {
        "url": ["redis://:***@host", "http://me@host", "a:b@c"]
    }
    monkeypatch.delenv("DB_PASSWORD")
    with pytest.raises(InvalidInputError, match=r"^storage\.url: \$\{DB_PASSWORD\} is not set.*Hint: export DB_PASSW"):
        resolve("postgresql://me:${DB_PASSWORD}@host/x", "storage.url")


@pytest.mark.parametrize(
    "settings",
    [{"storage": {"url": "postgresql://me:word@host/x"}}, {"trackers": {"mlflow": "https://me:word@host:5000"}}],
)
def test_a_password_in_a_setting_is_refused_before_it_is_recorded(settings: dict[str, Any]) -> None:
    with pytest.raises(StudyConfigError, match=r"holds a password, which would be recorded\. Hint: write \$\{NAME\}"):
        StudyConfig.load(small_settings(**settings))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For temporary files, with room for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp") as folder:
        yield Path(folder)


def test_no_file_of_a_study_holds_the_secret_nor_does_a_session_of_ray(tmp_path: Path, short_folder: Path) -> None:
    settings = small_settings(
        data={"build": "tests.tuning.test_secrets:data_with_password", "arguments": {"password": "${CANARY}"}},
        search={"trials": 1, "baselines": False},
        storage={"url": f"sqlite:///{tmp_path}/${{CANARY}}.db"},
    )
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(settings))
    temporary, study = short_folder, tmp_path / "study"
    environment = os.environ | {"CANARY": CANARY, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tuning"]
    run = subprocess.Popen([*command, "run", str(tmp_path / "study.yaml"), "--dir", str(study)], env=environment)
    modes, logs = set(), set()
    while run.poll() is None:
        for session in temporary.glob("segtune-ray-*"):
            with contextlib.suppress(OSError):  # it is being removed
                modes.add(session.stat().st_mode & 0o777)
                logs |= {path.name for path in session.glob("r/session_2*/logs/*")}
                assert not files_with(session, CANARY)
        time.sleep(0.5)
    assert run.returncode == 0
    assert modes == {0o700}
    assert logs
    assert not list(temporary.glob("segtune-*"))
    assert (tmp_path / f"{CANARY}.db").exists()
    assert yaml.safe_load((study / "study.yaml").read_text())["settings"]["data"]["arguments"] == {
        "password": "${CANARY}"
    }
    for words in (("report", "--no-images"), ("export", "--format", "safetensors", "--to", str(tmp_path / "out"))):
        done = subprocess.run(
            [*command, words[0], str(study), *words[1:]], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr
    assert not [*files_with(study, CANARY), *files_with(tmp_path / "out", CANARY)]


def test_folders_that_killed_sessions_left_are_removed_and_those_that_live_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuning.ray_folder.socket_root", lambda _: tmp_path)
    left = tmp_path / "segtune-ray-left"
    left.mkdir()
    (left / "lock").touch()
    (tmp_path / "segtune-ray-not-ours").mkdir()
    with ray_folder() as one, ray_folder() as other:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            ["segtune-ray-not-ours", one.parent.name, other.parent.name]
        )
    assert [path.name for path in tmp_path.iterdir()] == ["segtune-ray-not-ours"]


@pytest.fixture
def in_database(study_config: Make, tmp_path: Path, ray_session: None) -> Path:
    """A study in a database, after its run."""
    del ray_session
    config = study_config(
        search={"trials": 1, "baselines": False}, storage={"url": f"sqlite:///{tmp_path / 'studies.db'}"}
    )
    Study(config, tmp_path / "study").run()
    return tmp_path / "study"


def test_viewing_reads_a_database_and_makes_none(in_database: Path, tmp_path: Path) -> None:
    database = tmp_path / "studies.db"
    os.chmod(database, 0o444)  # noqa: PTH101
    before = database.read_bytes()
    for command in (("status",), ("report", "--no-images"), ("checkpoints", "list")):
        done = segtune_here(*command, str(in_database))
        assert done.returncode == 0, done.stderr
    assert len(load_trials(in_database)) == 1
    assert database.read_bytes() == before
    database.unlink()
    for command, code in ((("status",), 4), (("report", "--no-images"), 0), (("checkpoints", "list"), 0)):
        done = segtune_here(*command, str(in_database))
        assert done.returncode == code, done.stderr
        says = command[0] != "checkpoints"  # whose index lies in the study
        assert ("no such database. Hint: viewing makes none" in done.stdout + done.stderr) is says
        assert not database.exists()


def test_a_database_of_an_older_scheme_is_left_as_it_is(in_database: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "studies.db") as database:
        database.execute("drop table studies")
    before = (tmp_path / "studies.db").read_bytes()
    done = segtune_here("status", str(in_database))
    assert (done.returncode, "storage.url: the database cannot be read" in done.stderr) == (4, True)
    assert (tmp_path / "studies.db").read_bytes() == before


def test_what_is_no_database_is_said_without_its_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORD", CANARY)
    config = StudyConfig.load(small_settings(storage={"url": "nothing://me:${WORD}@host/x"}))
    with ray_running(config.resources), pytest.raises(StudyPlaceError) as caught:
        Study(config, tmp_path / "study").run()
    assert CANARY not in str(caught.value)


def test_a_dry_run_of_an_export_says_what_and_whose_code_without_running_it(
    study_config: Make, folder: Path, tmp_path: Path, ray_session: None
) -> None:
    del ray_session
    Study(study_config(search={"trials": 1, "baselines": False}), folder).run()
    record = folder / "study.yaml"
    record.write_text(record.read_text().replace("tests.toys:tiny_data", "nobody.has:this"))
    done = segtune_here("export", str(folder), "--to", str(tmp_path / "out"), "--dry-run")
    assert done.returncode == 0, done.stderr
    model, code, to = done.stdout.splitlines()
    assert model.startswith("model     trial 0: Dice 0.")
    assert f", from {folder}/attempts/01/0000/checkpoint_" in model
    assert code == "code      an export would run nobody.has:this, tests.toys:network"
    assert to == f"to        {tmp_path}/out"
    assert not (tmp_path / "out").exists()
    lost = segtune_here("export", str(folder), "--finalist", "--to", str(tmp_path / "out"), "--dry-run")
    assert (lost.returncode, "has no finalists" in lost.stderr) == (2, True)
