"""dry runs, `check`, `doctor` and completion, as a user calls them."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.commands import segtune, segtune_here
from tests.conftest import small_settings
from tests.golden import check_golden
from tuning.budget import expected_epochs
from tuning.config import StudyConfig
from tuning.doctor import find_versions


def write(folder: Path, **changes: dict[str, object]) -> Path:
    path = folder / "study.yaml"
    space = {"parameters": {"training.lr": {"float": [0.01, 0.1]}, "training.batch": {"int": [2, 4]}}}
    settings = small_settings(search={"space": space}, training={"precision": "fp32"})
    path.write_text(yaml.safe_dump({**settings, **changes}))
    return path


def test_a_dry_run_says_what_a_run_would_do_and_writes_nothing(tmp_path: Path) -> None:
    result = segtune_here("run", str(write(tmp_path)), "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    said = re.sub(r"(?m)^(epoch     )\S+ s", r"\1# s", result.stdout)
    said = re.sub(r"(?m)^(time      about) .*,", r"\1 TIME,", said)
    check_golden("dry_run", said, place=tmp_path)
    assert result.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_the_estimate_counts_what_each_rung_lets_through() -> None:
    config = StudyConfig.load(small_settings(training={"epochs": 9}, scheduler={"grace": 1, "reduction": 3}))
    assert expected_epochs(config) == 1 + (3 - 1) / 3 + (9 - 3) / 9
    whole = config.with_overrides({"scheduler.type": "none"})
    assert expected_epochs(whole) == 9


def test_check_trains_kills_and_restores_a_trial_and_leaves_nothing(tmp_path: Path) -> None:
    result = segtune_here("check", str(write(tmp_path)), cwd=tmp_path)
    assert result.returncode == 0, result.stderr + result.stdout
    check_golden("check", re.sub(r"[\d.]+ (s|MiB)", r"# \1", result.stdout), place=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_check_says_why_a_trial_fails(tmp_path: Path) -> None:
    file = write(tmp_path, model={"build": "tests.toys:untrainable_network"})
    result = segtune_here("check", str(file), cwd=tmp_path)
    assert result.returncode == 5
    assert "the trial failed (error): ValueError: no step for 1 channels" in result.stderr
    assert "raise ValueError(f" in result.stderr


def test_doctor_finds_versions_disks_and_a_ray_that_starts(tmp_path: Path) -> None:
    result = segtune("doctor", "--format", "json", cwd=tmp_path)
    findings = {row["name"]: row for row in json.loads(result.stdout)}
    assert {"python", "CPU", "GPU", "temporary", "studies", "write", "locks", "ray starts"} <= set(findings)
    assert findings["ray starts"]["state"] == findings["write"]["state"] == findings["locks"]["state"] == "ok"
    assert result.returncode == (4 if "problem" in {row["state"] for row in findings.values()} else 0)


def test_versions_are_compared_with_what_a_distribution_asks_for() -> None:
    optuna = {finding.name: finding for finding in find_versions("optuna")}
    assert (optuna["optuna"].state, optuna["numpy"].state) == ("ok", "ok")
    (absent,) = find_versions("no-such-distribution")
    assert (absent.state, absent.fix) == ("note", "pip install no-such-distribution")


@pytest.mark.parametrize(("typed", "expected"), [("segtune ex", ["export", "extend"]), ("segtune st", ["stop"])])
def test_a_shell_completes_the_commands(tmp_path: Path, typed: str, expected: list[str]) -> None:
    completed = segtune(cwd=tmp_path, _SEGTUNE_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD="1").stdout
    assert set(expected) <= set(completed.split())
    assert "run" not in completed.split()
