"""What a study of many trials holds and leaves: files, threads, memory, processes, shared memory, temporary files.

One study runs to its end; another is killed with SIGKILL in its midst and resumed. All of it is counted from outside.

    PYTHONPATH=. python benchmarks/leaks.py [--trials 300]
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SETTLE_S = 15.0  # in which what a killed driver had started ends by itself
_POLL_S = 0.5
_SETTINGS = """
name: leaks
data: {{build: "benchmarks.toy:tiny_data"}}
training: {{epochs: 1, batch: 4}}
search: {{trials: {trials}, sampler: random, baselines: false}}
scheduler: {{type: none}}
resources: {{concurrent: 2}}
"""


@dataclass(frozen=True)
class Count:
    """What is there at a moment; the first three are of the driver."""

    files: int = 0
    threads: int = 0
    mib: int = 0
    processes: int = 0
    shared: int = 0
    temporary: int = 0

    def cells(self) -> str:
        """For a row of the table."""
        found = (self.files, self.threads, self.mib, self.processes, self.shared, self.temporary)
        return " | ".join(map(str, found))


def main() -> None:
    """Run both studies and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=int, default=300)
    trials = options.parse_args().trials
    print("| | open files | threads | MiB | processes | in /dev/shm | in TMPDIR |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="leaks-") as place:
        root = Path(place)
        (root / "tmp").mkdir()
        (root / "study.yaml").write_text(_SETTINGS.format(trials=trials))
        _show("before", _count(root, None))
        driver = _start(root, "run", root / "study.yaml", "--dir", root / "whole")
        for done in _at(range(trials // 6, trials, trials // 3), root / "whole", driver):
            _show(f"after {done} trials", _count(root, driver.pid))
        _check(driver)
        _show("at its end", _count(root, None))
        driver = _start(root, "run", root / "study.yaml", "--dir", root / "killed")
        for _ in _at([trials // 3], root / "killed", driver):
            driver.send_signal(signal.SIGKILL)
        driver.wait()
        time.sleep(_SETTLE_S)
        _show(f"{_SETTLE_S:.0f} s after a kill at {trials // 3} trials", _count(root, None))
        driver = _start(root, "resume", root / "killed")
        for done in _at([trials * 2 // 3], root / "killed", driver):
            _show(f"resumed, after {done} trials", _count(root, driver.pid))
        _check(driver)
        _show("at its end", _count(root, None))


def _start(root: Path, *command: object) -> "subprocess.Popen[bytes]":
    """A command of segtune's, whose temporary files lie in a folder of their own."""
    environment = os.environ | {"TMPDIR": str(root / "tmp"), "LEAKS": str(root)}
    log = (root / "log.txt").open("ab")
    return subprocess.Popen(  # noqa: S603 - the project's own command
        [sys.executable, "-m", "tuning", *map(str, command)], env=environment, stdout=log, stderr=log
    )


def _at(marks: "range | list[int]", study: Path, driver: "subprocess.Popen[bytes]") -> Iterator[int]:
    """Wait until so many trials have begun, for each mark."""
    for mark in marks:
        while driver.poll() is None and len(list((study / "trials").glob("*"))) < mark:
            time.sleep(_POLL_S)
        if driver.poll() is None:
            yield mark


def _check(driver: "subprocess.Popen[bytes]") -> None:
    if driver.wait():
        raise SystemExit(f"segtune ended with {driver.returncode}")


def _show(name: str, count: Count) -> None:
    print(f"| {name} | {count.cells()} |", flush=True)


def _count(root: Path, driver: int | None) -> Count:
    """Count what belongs to the studies below a folder."""
    of_driver = (0, 0, 0)
    if driver is not None:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{driver}/status").read_text().splitlines())
        of_driver = (
            len(list(Path(f"/proc/{driver}/fd").iterdir())),
            int(status["Threads"]),
            int(status["VmRSS"].split()[0]) // 1024,
        )
    shared = sum(1 for path in Path("/dev/shm").iterdir() if path.stat().st_uid == os.getuid())  # noqa: S108
    return Count(*of_driver, _processes(root), shared, len(list((root / "tmp").iterdir())))


def _processes(root: Path) -> int:
    """Processes that a command here has started, and itself: they have its mark in their environment."""
    mark, found = f"LEAKS={root}".encode(), 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += mark in path.read_bytes().split(b"\0")
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()
