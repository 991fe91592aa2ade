"""`segtune dashboard` serves the journal: its studies by HTTP, and in a browser."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.conftest import small_settings
from tuning import Study, StudyConfig

pytest.importorskip("optuna_dashboard", reason="needs the extra `dashboard`")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.faults  # long


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two trials."""
    folder = tmp_path_factory.mktemp("dashboard") / "study"
    settings = small_settings(search={"trials": 2, "baselines": False}, training={"epochs": 1})
    Study(StudyConfig.load(settings), folder).run()
    return folder


@pytest.fixture(scope="module")
def address(study: Path) -> Iterator[str]:
    """Where it is served."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tuning", "dashboard", str(study), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: fetch(f"http://localhost:{port}/api/studies"))
        yield f"http://localhost:{port}"
    finally:
        process.kill()
        process.communicate()


def fetch(url: str) -> Any:
    with urlopen(url) as answer:  # noqa: S310 - of this machine
        return json.load(answer)


def wait_for(action: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            action()
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def test_the_studies_of_the_journal_are_served(address: str) -> None:
    studies = {study["study_name"]: study for study in fetch(f"{address}/api/studies")["study_summaries"]}
    assert set(studies) == {"small", "small/baselines"} or set(studies) == {"small"}
    trials = fetch(f"{address}/api/studies/{studies['small']['study_id']}?after=0")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Complete"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_a_browser_shows_the_study(address: str) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    shown = subprocess.run(
        [str(CHROMIUM), *options, f"{address}/dashboard/"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "small" in shown.stdout
    assert "Optuna Dashboard" in shown.stdout


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tuning", "dashboard", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "no study here" in result.stderr
