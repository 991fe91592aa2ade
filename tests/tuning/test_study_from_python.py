"""A study from Python or a notebook: made, opened, extended, looked at, by the rules of the command."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.conftest import small_settings
from tests.folders import png_folder
from tuning import Study, StudyConfig
from tuning.errors import StudyConfigError, StudyExistsError, StudyMismatchError, StudyNotFoundError
from tuning.progress import make_progress
from tuning.record import StudyDirectory

pytestmark = pytest.mark.usefixtures("ray_session")
Make = Callable[..., StudyConfig]
DOCS = Path(__file__).parent.parent.parent / "docs" / "how_to"


def test_the_python_of_the_pages_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    png_folder(tmp_path / "nuclei")
    known: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", (DOCS / "use_from_python.md").read_text(), re.DOTALL):
        exec(compile(code, "use_from_python.md", "exec"), known)  # noqa: S102 - our own
    study, best = known["study"], known["best"]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("False [")
    assert second.startswith(f"{best.number} {best.dice} ")
    table = study.results()
    assert list(table["number"]) == [0, 1, 2]
    assert table["best_dice"].max() == best.dice
    assert best.checkpoint.is_dir()
    assert f"<b>nuclei</b> in {tmp_path / 'studies' / 'nuclei'}" in study._repr_html_()

    assert study.config.data.root == str(tmp_path / "nuclei")
    with pytest.raises(StudyExistsError, match=r"holds a study already\. Hint: Study\.open goes on"):
        Study.create(small_settings() | {"name": "nuclei"})
    with pytest.raises(StudyConfigError, match="trials: must be at least 1"):
        study.extend(0)
    with pytest.raises(StudyMismatchError, match=r"training\.lr: was 0\.001, now 0\.5"):
        Study.open("studies/nuclei", ["training.lr=0.5"]).run()


def test_an_extended_study_is_the_longer_one_and_is_opened_as_it_was_left(study_config: Make, folder: Path) -> None:
    settings: dict[str, Any] = {"resources": {"concurrent": 1}}
    search: dict[str, Any] = {"baselines": False, "startup_trials": 1}
    whole = Study(study_config(search={**search, "trials": 3}, **settings), folder.with_name("whole")).run()
    Study.create(study_config(search={**search, "trials": 1}, **settings), folder).run()
    assert Study.open(folder).extend(1).trials == whole.trials[:2]
    again = Study.open(folder, ["resources.retries=5"])
    assert (again.config.search.trials, again.config.resources.retries) == (2, 5)
    assert again.extend(1).trials == whole.trials
    starts = [event for event in StudyDirectory(folder).attempts() if event["event"] == "start"]
    assert [event["changed"] for event in starts] == [
        {},
        {"search.trials": 2},
        {"resources.retries": 5, "search.trials": 3},
    ]


def test_what_drifted_is_said_at_the_start(
    study_config: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Study(study_config(search={"trials": 1, "baselines": False}), folder).run()
    attempts = StudyDirectory(folder).attempts_file
    text = re.sub(r'"torch": "[^"]*"', '"torch": "1.0"', attempts.read_text())
    attempts.write_text(re.sub(r'"tests.toys": "[0-9a-f]*"', '"tests.toys": "0"', text))
    Study.open(folder).run(make_progress(Console(width=200)))
    said = capsys.readouterr().out
    assert re.search(r"(?m)^drift     torch is \S+, was 1\.0 at the last attempt$", said)
    assert "drift     the code of tests.toys has changed since the last attempt\n" in said


def test_a_study_that_was_never_run_says_so(folder: Path) -> None:
    with pytest.raises(StudyNotFoundError, match="no study here"):
        Study.open(folder)
    study = Study.create(small_settings(), folder)
    assert study._repr_html_() == f"<p><b>small</b> in {folder}: not run yet</p>"
    with pytest.raises(StudyNotFoundError):
        study.results()
