"""How long one waits: for the help, and from `segtune run` to the first trial, of the demo's study.

Each start is a process of its own, as a shell makes it; the run is killed once its first trial has started.

    python benchmarks/startup.py [--repeats 5]
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_SEGTUNE = [sys.executable, "-m", "tuning"]


def main() -> None:
    """Measure both in turn and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=5)
    repeats = arguments.parse_args().repeats
    print("| from the command to | median s | min | max | goal |")
    print("|---|---|---|---|---|")
    for name, wait, goal in (("the help", _help, 0.3), ("the first trial", _first_trial, 8)):
        wait()  # the files are in memory then
        seconds = [wait() for _ in range(repeats)]
        print(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} | {goal:g} |")


def _help() -> float:
    began = time.perf_counter()
    subprocess.run([*_SEGTUNE, "--help"], cwd=_ROOT, check=True, capture_output=True)  # noqa: S603 - our own command
    return time.perf_counter() - began


def _first_trial() -> float:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [*_SEGTUNE, "run", "examples/brain.yaml", "--dir", str(Path(folder) / "study")]
        began = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            for line in process.stderr or ():
                if line.rstrip().endswith("started"):
                    break
            else:
                raise SystemExit("the run ended before a trial started")
            seconds = time.perf_counter() - began
            os.killpg(process.pid, signal.SIGKILL)
    return seconds


if __name__ == "__main__":
    main()
