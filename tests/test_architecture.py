"""The arrows between the rooms point one way; what must load lightly does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("components", "search_spaces", "tuning", "reports")
FORBIDDEN = {
    "components": {"ray", "optuna", "pandas", "search_spaces", "tuning", "reports", "pydantic", "typer", "rich"},
    "search_spaces": {"ray", "torch", "monai", "components", "tuning", "reports", "pandas"},
    "tuning": {"reports"},
    "reports": {"ray", "torch"},
}
HELP = """
import sys, tuning.cli
sys.argv = ["segtune", "--help"]
try:
    tuning.cli.main()
except SystemExit:
    pass
"""


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def files_of(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = files_of(room)
    assert files
    for path in files:
        if path.parent == ROOT / "tuning" and path.name.partition(".")[0].partition("_")[0] == "cli":
            continue  # the one place that may call everything
        top = {name.partition(".")[0] for name in imports_of(path)}
        assert not top & FORBIDDEN[room], path


def test_reports_know_only_the_record_of_a_study() -> None:
    for path in files_of("reports"):
        tuning = {name for name in imports_of(path) if name.startswith("tuning")}
        assert all(name.startswith("tuning.record") for name in tuning), path


def test_only_the_study_itself_knows_ray() -> None:
    light = [
        ROOT / "tuning" / name for name in ("config/sections.py", "study_file.py", "errors.py", "plan.py", "lock.py")
    ]
    for path in [*light, *sorted((ROOT / "tuning" / "record").glob("*.py"))]:
        assert not any(name.partition(".")[0] in ("ray", "torch") for name in imports_of(path)), path


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import tuning.record", "ray torch monai"),
        ("import reports", "ray torch monai"),
        ("import search_spaces", "ray torch optuna"),
        ("import components", "torch monai"),
        ("import components.losses, components.checkpoints, components.metrics", "ray optuna pandas monai"),
        (HELP, "torch ray optuna pandas"),
    ],
)
def test_what_must_load_lightly_does(statement: str, absent: str) -> None:
    check = f"\nimport sys\nprint('loaded:', [name for name in {absent.split()!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", statement + check], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.stdout.endswith("loaded: []\n"), result.stdout + result.stderr


def test_no_file_is_too_long() -> None:
    for path in [path for room in (*ROOMS, "tests", "benchmarks") for path in files_of(room)]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


@pytest.mark.parametrize("name", ["components", "tuning"])
def test_the_public_names_are_there(name: str) -> None:
    module = __import__(name)
    for public in module.__all__:
        assert getattr(module, public).__name__ == public
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing
