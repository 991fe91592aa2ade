"""A study whose place misbehaves: a full disk, a directory that moved or cannot be written, a second driver."""

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import killing
from tests.faults.test_faults_disk import command

pytestmark = pytest.mark.timeout(600)
Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a file system; skips where that is not permitted."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        place = tmp_path / f"disk-{uuid.uuid4().hex}"
        place.mkdir()
        if problem := command("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)):
            pytest.skip(f"no file system could be mounted: {problem}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        assert command("umount", "-l", str(place)) == ""


@pytest.mark.faults
@pytest.mark.parametrize("epochs", [4, 20])
def test_a_full_disk_stops_the_study_and_with_space_it_ends_as_if_nothing_had_been(
    mount: Mount, file: Path, uninterrupted: dict[int, dict[str, Any]], epochs: int
) -> None:
    disk = mount("size=24m")
    process = killing.start(file, disk / "study")
    killing.wait_for_epochs(process, disk / "study", epochs)
    with (disk / "filler").open("wb", buffering=0) as filler:  # else closing it would write again
        try:
            while True:
                filler.write(b"0" * 65536)
        except OSError:
            pass
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 4, output
    assert "No space left on device" in output
    (disk / "filler").unlink()
    killing.finish(killing.start(file, disk / "study"))
    assert killing.outcome(disk / "study") == uninterrupted
    killing.assert_no_orphans(disk / "study")


@pytest.mark.faults
def test_a_study_may_move_between_two_attempts(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]]
) -> None:
    process = killing.start(file, tmp_path / "here")
    killing.wait_for_epochs(process, tmp_path / "here", 9)
    killing.kill_all(process)
    shutil.move(tmp_path / "here", tmp_path / "elsewhere" / "there")
    killing.finish(killing.start(file, tmp_path / "elsewhere" / "there"))
    assert killing.outcome(tmp_path / "elsewhere" / "there") == uninterrupted
    killing.assert_no_orphans(tmp_path / "elsewhere" / "there")


@pytest.mark.faults
def test_a_directory_that_cannot_be_written_is_refused_and_can_be_read(mount: Mount, file: Path) -> None:
    disk = mount("size=24m")
    killing.finish(killing.start(file, disk / "study", "search.trials=1", "search.baselines=false"))
    if problem := command("mount", "-o", "remount,ro", str(disk)):
        pytest.skip(f"it cannot be made read-only: {problem}")
    for place in ("study", "other"):
        process = killing.start(file, disk / place, "search.trials=2")
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 4, output
        assert f"{disk / place}: cannot be written: Read-only file system" in output
    for words in (["status", disk / "study"], ["report", disk / "study", "--format", "table"]):
        line = [sys.executable, "-m", "tuning", *map(str, words)]
        done = subprocess.run(line, cwd=killing.ROOT, capture_output=True, text=True, check=False)
        assert "trial 0" in done.stdout, done.stderr


def test_a_second_driver_is_refused_and_told_of_the_first(file: Path, tmp_path: Path) -> None:
    first = killing.start(file, tmp_path / "study")
    killing.wait_for_epochs(first, tmp_path / "study", 1)
    second = killing.start(file, tmp_path / "study")
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"the study is being run by process {first.pid}" in output
    killing.kill_all(first)
