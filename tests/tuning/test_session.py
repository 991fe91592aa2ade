"""A whole script as a trial: at most five changed lines, alone the same numbers, stopped early, resumed."""

import difflib
import re
import shutil
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from components.checkpoints import verify_checkpoint
from components.errors import InvalidInputError
from tests.folders import png_folder
from tuning import Study, StudyConfig, session
from tuning.config import ScriptConfig
from tuning.errors import ScriptError, StudyConfigError
from tuning.export import export_trial
from tuning.record import StudyDirectory
from tuning.script_task import ScriptTask
from tuning.store import TuneStore
from tuning.study_file import read_study_file

ROOT = Path(__file__).parent.parent.parent
PLAIN, TUNED = (ROOT / "examples" / f"{name}_training.py" for name in ("plain", "tuned"))

SCRIPT = """
import os, sys, torch
from torch import nn
from tuning import session

params = {{"lr": 0.1, "mode": "works"}} | session.params
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=params["lr"])
done = session.checkpoint(net, optimizer=optimizer)
for epoch in range(done + 1, 5):
    loss = (net(torch.randn(16, 4)) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("epoch", epoch, "threads", torch.get_num_threads())
    {line}
    session.report(val_dice=1 / (1 + loss), epoch=epoch, loss=loss)
"""


def script(folder: Path, line: str = "") -> Path:
    path = folder / "own.py"
    path.write_text(SCRIPT.format(line=line or "pass"))
    return path


def config_of(path: Path, **changes: Any) -> StudyConfig:
    lr = {"float": [0.001, 0.2], "log": True}
    settings: dict[str, Any] = {
        "name": "own",
        "script": {"path": str(path)},
        "training": {"epochs": 4},
        "search": {"trials": 3, "startup_trials": 3, "space": {"parameters": {"script.params.lr": lr}}},
        "scheduler": {"grace": 1, "reduction": 2},
        "resources": {"concurrent": 1},
    }
    return StudyConfig.load(settings | changes)


def epochs_of(config: StudyConfig, folder: Path, count: int | None = None, number: int = 0) -> list[dict[str, Any]]:
    """Rows of a trial that goes on from the checkpoints in `folder`, where its own are kept."""
    folder.mkdir(exist_ok=True)
    records = [verify_checkpoint(path) for path in sorted(folder.glob("epoch_*"))]
    store = TuneStore(folder / "staging", records)
    assert config.script
    rows = []
    epochs = ScriptTask.open(config.script, folder / "study").epochs(config, number, store)
    for row, *_ in islice(epochs, count):
        if store.staged:
            shutil.copytree(store.staged.path, folder / f"epoch_{row['epoch']:03d}")
        store.discard()
        rows.append({name: value for name, value in row.items() if name != "seconds"})
    return rows


def changed_lines() -> list[str]:
    plain, tuned = (path.read_text().splitlines() for path in (PLAIN, TUNED))
    return [line for line in difflib.unified_diff(plain, tuned, n=0, lineterm="") if re.match(r"[+-](?![+-])", line)]


def test_the_example_changes_at_most_five_lines_and_the_guide_shows_them() -> None:
    added = [line[1:].strip() for line in changed_lines() if line[0] == "+" and line[1:].strip()]
    assert 0 < len(added) <= 5
    shown = re.search(r"```diff\n(.*?)```", (ROOT / "docs/how_to/your_own_code.md").read_text(), re.DOTALL)
    assert shown
    in_guide = [line for line in shown[1].splitlines() if line[:1] in "+-" and line[1:].strip()]
    assert in_guide == [line for line in changed_lines() if line[1:].strip()]


@pytest.mark.faults  # long
def test_the_example_runs_alone_as_the_plain_script_does(tmp_path: Path) -> None:
    folder = png_folder(tmp_path / "discs")
    printed = [
        subprocess.run(
            [sys.executable, path, folder],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for path in (PLAIN, TUNED)
    ]
    assert printed[0] == printed[1]
    assert "epoch 12: validation Dice 0." in printed[0]


@pytest.mark.usefixtures("ray_session")
def test_a_study_runs_the_example_stops_weak_trials_and_exports_the_best(tmp_path: Path) -> None:
    folder = png_folder(tmp_path / "discs")
    overrides = [f"script.arguments=[{folder}]", "search.trials=3", "resources.concurrent=1"]
    config = read_study_file(ROOT / "examples/script.yaml", overrides).load()
    result = Study(config, tmp_path / "study").run()
    assert {trial.number: trial.state for trial in result.trials}[-1] == "complete"
    assert {trial.state for trial in result.trials} <= {"complete", "pruned"}
    alone = subprocess.run(
        [sys.executable, PLAIN, folder], env={"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True
    ).stdout
    dice = [round(row["val_dice"], 4) for row in StudyDirectory(tmp_path / "study").trial(-1).epochs().values()]
    assert dice == [float(value) for value in re.findall(r"Dice (\S+)", alone)]
    assert "validation Dice" in StudyDirectory(tmp_path / "study").trial(0).log.read_text()
    lines = export_trial(tmp_path / "study", tmp_path / "bundle").lines()
    assert (tmp_path / "bundle" / "model.safetensors").stat().st_size > 1000
    assert lines[0].startswith("exported  ")


@pytest.mark.usefixtures("ray_session")
def test_each_trial_gets_its_settings_threads_and_folder(tmp_path: Path) -> None:
    path = script(tmp_path, "(session.folder / 'note.txt').write_text(str(params['lr']))")
    result = Study(config_of(path), tmp_path / "study").run()
    for trial in result.trials:
        record = StudyDirectory(tmp_path / "study").trial(trial.number)
        lr = trial.overrides.get("script.params.lr", 0.1)
        assert (record.path / "files" / "note.txt").read_text() == str(lr)
        assert "threads 1" in record.log.read_text()
        assert record.epochs()[1]["loss"] > 0


def test_a_script_goes_on_bit_for_bit_where_it_stopped(tmp_path: Path) -> None:
    config = config_of(script(tmp_path), checkpoint={"strategy": "epoch", "max_checkpoints": 9})
    whole = epochs_of(config, tmp_path / "whole")
    assert [row["epoch"] for row in whole] == [1, 2, 3, 4]
    assert epochs_of(config, tmp_path / "twice", 2) == whole[:2]
    assert epochs_of(config, tmp_path / "twice") == whole[2:]


def test_a_stopped_script_may_tidy_up(tmp_path: Path) -> None:
    line = f"import atexit, pathlib; atexit.register(pathlib.Path({str(tmp_path / 'tidied')!r}).touch)"
    assert len(epochs_of(config_of(script(tmp_path, line)), tmp_path / "kept", 2)) == 2
    assert (tmp_path / "tidied").exists()


def test_a_process_that_the_script_starts_does_not_report(tmp_path: Path) -> None:
    child = "from tuning import session; print(session.params); session.report(val_dice=0.9, epoch=1)"
    line = f"import subprocess; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    rows = epochs_of(config_of(script(tmp_path, line)), tmp_path / "kept")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert all("loss" in row for row in rows)


@pytest.mark.parametrize(
    "lines",
    [
        ["{begun}", "time.sleep(1)", "from tuning import session", "time.sleep(5)"],
        ["from tuning import session", "{begun}", "session.report(val_dice=0.5, epoch=1)"],
    ],
    ids=["before it opens the session", "before its report is read"],
)
def test_a_script_whose_worker_dies_ends_with_it(tmp_path: Path, lines: list[str]) -> None:
    own, begun, alone = (tmp_path / name for name in ("own.py", "begun", "alone"))
    write_pid = f"pathlib.Path({str(begun)!r}).write_text(str(os.getpid()))"
    lines = [line.format(begun=write_pid) for line in lines]
    own.write_text("\n".join(["import os, pathlib, time", *lines, f"pathlib.Path({str(alone)!r}).touch()"]))
    worker = (
        "import os, pathlib, time\n"
        "from tuning.script_process import ScriptProcess\n"
        f"facts, own = {{'params': {{}}, 'folder': '.'}}, {str(own)!r}\n"
        "process = ScriptProcess([own], facts, directory=pathlib.Path(), threads=1)\n"
        f"while not pathlib.Path({str(begun)!r}).exists(): time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", worker], check=False).returncode == -9
    deadline = time.monotonic() + 30
    while Path(f"/proc/{begun.read_text()}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{begun.read_text()}").exists()
    assert not alone.exists()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("raise ValueError('no more')", "own.py: ValueError: no more"),
        ("sys.exit(3)", "own.py: ended with exit code 3"),
        ("os.kill(os.getpid(), 9)", "own.py: killed by SIGKILL; out of memory?"),
        ("os._exit(0)", "own.py: ended without a report. Hint: call session.report after each epoch."),
        (
            "loss = loss * float('nan')",
            "InvalidInputError: session.report: val_dice is nan in epoch 1, expected 0 to 1.",
        ),
        ("epoch = 0", "session.report: found epoch 0, which counts from 1. Hint: epoch=epoch + 1."),
    ],
)
def test_a_script_that_fails_says_why(tmp_path: Path, line: str, found: str) -> None:
    with pytest.raises(ScriptError) as raised:
        epochs_of(config_of(script(tmp_path, line)), tmp_path / "kept")
    assert found in str(raised.value)


def test_a_searched_setting_that_the_script_does_not_have_is_named(tmp_path: Path) -> None:
    config = config_of(script(tmp_path)).with_overrides({"script.params.lrr": 1.0})
    with pytest.raises(
        ScriptError, match=r"script\.params\.lrr: the script has no such setting\. Hint: it has lr, mode"
    ):
        epochs_of(config, tmp_path / "kept")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"model": {"divisor": 8}}, "model: belongs to studies without a script"),
        ({"training": {"epochs": 4, "lr": 0.5}}, "training.lr: belongs to studies without a script"),
        ({"data": {"root": "nuclei"}}, "data: belongs to studies without a script"),
        ({"script": None}, "data: is missing."),
    ],
)
def test_settings_that_a_script_cannot_heed_are_refused(tmp_path: Path, changes: dict[str, Any], found: str) -> None:
    with pytest.raises(StudyConfigError, match=re.escape(found)):
        config_of(script(tmp_path), **changes)


def test_only_settings_of_the_script_can_be_searched(tmp_path: Path) -> None:
    path = script(tmp_path)
    config = config_of(path, search={"space": {"presets": ["loss_weights"]}})
    with pytest.raises(StudyConfigError, match=r"only script\.params\.<name> and checkpoint\.strategy"):
        ScriptTask.open(ScriptConfig(path=str(path)), tmp_path).check(config)


@pytest.mark.parametrize(("text", "found"), [(None, "cannot be read: No such file"), ("def", "is no Python")])
def test_a_script_that_cannot_run_is_refused_before_a_trial_starts(
    tmp_path: Path, text: str | None, found: str
) -> None:
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StudyConfigError, match=rf"script\.path: .*own\.py {found}"):
        ScriptTask.open(ScriptConfig(path=str(path)), tmp_path)


def test_alone_a_session_checks_what_it_is_given_and_changes_nothing() -> None:
    assert {"lr": 1} | session.params == {"lr": 1}
    session.report(val_dice=0.5, epoch=1, loss=2.0)
    for wrong in (
        {"val_dice": 1.5, "epoch": 1},
        {"val_dice": 0.5, "epoch": 0},
        {"val_dice": 0.5, "epoch": 1, "seconds": 3.0},
    ):
        with pytest.raises(InvalidInputError, match=r"^session\.report: "):
            session.report(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"no part optimiser\. Hint: there are optimizer"):
        session.checkpoint(None, optimiser=None)  # type: ignore[arg-type]
