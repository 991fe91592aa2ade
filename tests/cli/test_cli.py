"""The command as a user runs it: exit codes, messages, what goes to stdout and what to stderr."""

import csv
import io
import json
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tests.commands import ROOT, segtune, segtune_here
from tests.conftest import small_settings


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "study.yaml"
    path.write_text(yaml.safe_dump(small_settings(search={"trials": 2})))
    return path


@pytest.fixture(scope="module")
def study(file: Path) -> Path:
    """A study that the command ran, from a folder of the user's own."""
    result = segtune("run", str(file), "-s", "training.epochs=3", "-s", "scheduler.grace=1", cwd=file.parent)
    assert result.returncode == 0, result.stderr
    (file.parent / "out.txt").write_text(result.stdout)
    (file.parent / "err.txt").write_text(result.stderr)
    return file.parent / "studies" / "small"


def test_the_run_prints_the_plan_each_event_and_how_it_ended(study: Path) -> None:
    talk = (study.parent.parent / "err.txt").read_text().splitlines()
    assert talk[0].startswith(f"study     small in {study}")
    assert "now       0 kept, 0 continued, 6 new" in talk
    assert sum(" started" in line for line in talk) == 6
    assert any(line.startswith("[6/6] ") for line in talk)
    said = (study.parent.parent / "out.txt").read_text()
    for word in ("best      trial ", "baseline  ", "model     ", "trials.csv", "epochs.csv"):
        assert word in said
    model = next(line.split()[1] for line in said.splitlines() if line.startswith("model"))
    assert (Path(model) / "model.safetensors").is_file()


def test_the_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    result = segtune("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"segtune {version('segtune')}\n")


def test_ray_says_nothing(study: Path) -> None:
    talk = (study.parent.parent / "err.txt").read_text() + (study.parent.parent / "out.txt").read_text()
    for noise in ("ray", "Ray", "WARNING", "Warning", "raylet", "pid="):
        assert noise not in talk.replace(str(study), "")


def test_overrides_are_recorded(study: Path) -> None:
    assert yaml.safe_load((study / "study.yaml").read_text())["settings"]["training"]["epochs"] == 3


def test_the_same_command_goes_on_and_finds_nothing_to_do(study: Path, file: Path) -> None:
    arguments = ("run", str(file), "-s", "training.epochs=3", "-s", "scheduler.grace=1")
    result = segtune_here(*arguments, cwd=file.parent)
    assert result.returncode == 0
    assert "now       6 kept, 0 continued, 0 new" in result.stderr
    assert "started" not in result.stderr
    assert study.is_dir()


def test_the_report_is_the_same_in_every_format(study: Path) -> None:
    rows = json.loads(segtune_here("report", str(study), "--format", "json").stdout)
    assert [row["number"] for row in rows] == [-1, -2, -3, -4, 0, 1]
    assert [row["baseline"] for row in rows] == ["bce", "dice", "dice_bce", "dice_focal", None, None]
    assert set(rows[0]) >= {
        "number",
        "state",
        "cause",
        "best_dice",
        "best_epoch",
        "epochs",
        "seconds",
        "checkpoint",
        "params",
    }
    table = list(csv.DictReader(io.StringIO(segtune_here("report", str(study), "--format", "csv").stdout)))
    assert [json.loads(row["params"]) for row in table] == [row["params"] for row in rows]
    assert [float(row["best_dice"]) for row in table] == [row["best_dice"] for row in rows]
    text = segtune_here("report", str(study), "--format", "table").stdout
    assert text.count("baseline") == 4
    assert "trial 1" in text
    result = segtune_here("report", str(study), "--images")
    assert result.stdout.splitlines()[-1] == f"report    {study / 'report' / 'index.html'}"
    assert len(result.stdout.splitlines()) == 4  # three sentences before it
    page = (study / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/png') == 24  # four panels of three cases of the best and of the baseline
    segtune_here("report", str(study), "--no-images", "--to", str(study / "mail.html"))
    assert '<img src="data:image/png' not in (study / "mail.html").read_text(encoding="utf-8")


def test_the_status_says_how_far_a_study_is(study: Path) -> None:
    result = segtune_here("status", str(study))
    assert result.returncode == 0
    assert "now       not running; 1 attempt so far" in result.stdout
    assert "trials    " in result.stdout
    assert "best      trial " in result.stdout


@pytest.mark.usefixtures("ray_session")  # else some would start it, and end it
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "none.yaml"), 2, "error: none.yaml: no such study file. Hint:"),
        (("run", "{file}", "-s", "training.epoch=3"), 2, "training.epoch: unknown setting. Hint: did you mean epochs?"),
        (
            ("run", "{file}", "-s", "data.build=no.such:thing"),
            2,
            "data.build: 'no.such:thing': there is no module 'no'. Hint:",
        ),
        (("run", "{file}", "-s", "search.space.presets=[loss_weight]"), 2, "did you mean loss_weights?"),
        (("status", "nowhere"), 2, "no study here"),
        (("report", "nowhere"), 2, "no study here"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_bad_input_gets_one_clear_message(
    file: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = segtune_here(*(part.format(file=file) for part in arguments), cwd=tmp_path)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in segtune("run", "none.yaml", "--debug", cwd=tmp_path).stderr


@pytest.mark.usefixtures("ray_session")
def test_a_study_without_any_success_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    settings = small_settings(
        model={"build": "tests.toys:untrainable_network"}, search={"trials": 1, "baselines": False}
    )
    path.write_text(yaml.safe_dump(settings))
    result = segtune_here("run", str(path), cwd=tmp_path)
    assert result.returncode == 5
    assert "failed    trial 0 (error): ValueError: no step for 1 channels" in result.stdout
    assert "in forward" in result.stdout


def test_a_users_folder_of_the_same_name_is_named_and_refused(tmp_path: Path) -> None:
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").touch()
    result = segtune("status", "x", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert result.returncode == 2
    assert str(tmp_path / "components" / "__init__.py") in result.stderr
    assert str(ROOT / "components" / "__init__.py") in result.stderr


def test_help_names_the_commands() -> None:
    said = segtune("--help").stdout
    for command in ("run", "status", "report"):
        assert command in said
