"""Every command by itself: killed in its midst, on a full disk, and run by a user who may write little."""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.commands import ROOT, segtune
from tests.faults.test_faults_disk import command, fill
from tests.folders import png_folder

pytestmark = pytest.mark.faults
NOBODY = 65534
_DELAY_S = 4.0  # in the midst of most commands


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, the study file `study.yaml`, the ended study `study` and the bundle `bundle`."""
    root = tmp_path_factory.mktemp("commands")
    png_folder(root / "data")
    settings = {
        "name": "discs",
        "data": {"root": "data"},
        "training": {"epochs": 2, "batch": 2, "precision": "fp32"},
        "search": {"trials": 2, "baselines": False},
        "scheduler": {"type": "none"},
    }
    (root / "study.yaml").write_text(yaml.safe_dump(settings))
    for words in (("run", "study.yaml", "--dir", "study"), ("export", "study", "--to", "bundle")):
        done = segtune(*words, cwd=root)
        assert done.returncode == 0, done.stderr
    return root


COMMANDS: dict[str, tuple[str, ...]] = {
    "init": ("init", "data", "--to", "out/new.yaml"),
    "export": ("export", "study", "--to", "out/bundle"),
    "report": ("report", "study", "--to", "out/report.html"),
    "predict": ("predict", "bundle", "data/images", "--out", "out/masks"),
    "finalists": ("finalists", "study", "--top", "1", "--seeds", "2"),
    "extend": ("extend", "study", "--trials", "+1"),
}


def digests(folder: Path) -> dict[str, str]:
    """Of every file that no command may change; a lock says nothing."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_damages_nothing_and_can_be_repeated(place: Path, tmp_path: Path, name: str) -> None:
    work = tmp_path / "work"
    shutil.copytree(place, work)
    (work / "out").mkdir()
    before = {part: digests(work / part) for part in ("data", "bundle", "study/trials", "study/attempts")}
    words = COMMANDS[name]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "tuning", *words], cwd=work, env=environment)
    with contextlib.suppress(subprocess.TimeoutExpired):  # or it was quicker
        process.wait(_DELAY_S)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for part, found in before.items():
        now = digests(work / part)
        assert {path: now.get(path) for path in found} == found, part
    shutil.rmtree(work / "out")  # what a repeat would not overwrite
    (work / "out").mkdir()
    done = segtune(*words, cwd=work)
    assert done.returncode == 0, done.stderr
    status = segtune("status", "study", cwd=work)
    assert status.returncode == 0, status.stderr


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A mounted file system without any space."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if problem := command("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)):
        pytest.skip(f"no small file system could be mounted: {problem}")
    fill(disk)
    yield disk
    assert command("umount", str(disk)) == ""


@pytest.mark.parametrize("name", ["init", "export", "report", "predict"])
def test_on_a_full_disk_a_command_says_so_and_leaves_nothing(place: Path, full: Path, name: str) -> None:
    words = [word.replace("out/", f"{full}/") for word in COMMANDS[name]]
    done = segtune(*words, cwd=place)
    said = done.stdout + done.stderr
    assert done.returncode == (1 if name == "predict" else 4), said  # of predict no image could be done
    assert "No space left on device" in said
    assert str(full) in said
    files = {path for path in full.rglob("*") if path.is_file() and path.stat().st_size} - {full / "filler"}
    assert files == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_works_with_data_and_an_installation_that_are_read_only(place: Path, tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    shutil.copytree(place / "data", data)
    home.mkdir()
    shutil.chown(home, NOBODY, NOBODY)
    for path in [data, *data.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    mine = {"cwd": home, "user": NOBODY, "group": NOBODY, "extra_groups": [], "text": True, "capture_output": True}
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(home), "TMPDIR": str(home)}
    try:
        subprocess.run([sys.executable, "-c", "import torch"], env=environment, check=True, **mine)  # type: ignore[call-overload]
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("another user cannot run this Python, such as one below /root")
    small = (
        "-s",
        "training.epochs=2",
        "-s",
        "search.trials=1",
        "-s",
        "search.baselines=false",
        "-s",
        "scheduler.grace=1",
    )
    for words in (
        ("init", str(data), "--to", "study.yaml"),
        ("run", "study.yaml", "--dir", "study", *small),
        ("report", "study"),
        ("export", "study", "--to", "bundle"),
        ("predict", "bundle", str(data / "images"), "--out", "masks"),
    ):
        done = subprocess.run(  # type: ignore[call-overload]
            [sys.executable, "-m", "tuning", *words], env=environment, check=False, **mine
        )
        assert done.returncode == 0, done.stderr
    assert digests(data) == digests(place / "data")
