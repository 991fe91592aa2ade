"""The wheel: what it ships, and that it works where there is no checkout."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def tracked() -> list[str]:
    """Files of the checkout, as they are now."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "-q", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", str(source), *options], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_ships_every_room_its_types_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names if not name.startswith("segtune-")}
    assert tops == {"components", "search_spaces", "tuning", "reports"}
    for room in tops:
        assert f"{room}/py.typed" in names
    assert {name for name in names if name.endswith(".py")} == {
        name for name in tracked() if name.endswith(".py") and name.partition("/")[0] in tops
    }


def test_the_installed_command_answers_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    zipfile.ZipFile(wheel).extractall(site)
    here = subprocess.run(
        [sys.executable, "-c", "import typer; print(typer.__path__[0])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    (Path(site) / "dependencies.pth").write_text(str(Path(here).parent))
    said = subprocess.run([python, "-m", "tuning", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "segtune" in said.stdout
