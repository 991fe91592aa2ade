"""A user's script as a process: what it prints, what it reports, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from components.plain_text import BoundedText
from tuning.errors import ScriptError
from tuning.session import TRIAL

_LAST_WORDS_S = 1.0  # between the news that the trial is stopped and the kill; Ray Tune waits 2 s for a trial
_LONGEST_LINE = 1 << 16  # characters taken at once
_TRACEBACK = "Traceback (most recent call last):"


class ScriptProcess:
    """Runs the script in a process group of its own, which ends with this object, or with the worker.

    Args:
        command: of the script.
        facts: what it is told, JSON values.
        directory: where it runs.
        threads: that its numeric libraries may use.
    """

    def __init__(self, command: Sequence[str], facts: dict[str, Any], *, directory: Path, threads: int) -> None:
        self._script = Path(command[0])
        self._line, theirs = socket.socketpair()
        told = {**facts, "socket": theirs.fileno()}
        reading, writing = os.pipe()
        self._output = os.fdopen(reading, encoding="utf-8", errors="replace")
        with theirs, os.fdopen(writing, "w") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the script that the user's study names
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=_environment(threads) | {TRIAL: json.dumps(told)},
                cwd=directory,
                start_new_session=True,
            )
        self._printed = BoundedText()
        self._tail: deque[str] = deque(maxlen=200)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def reports(self) -> Iterator[dict[str, Any]]:
        """What the script reports, until it ends; after each it waits for `go_on`."""
        with self._line.makefile(encoding="utf-8") as lines:
            for line in lines:
                self._print()
                yield json.loads(line)

    def go_on(self) -> None:
        """Let the script train the next epoch."""
        self._answer(go_on=True)

    def check_end(self) -> None:
        """Wait for the end.

        Raises:
            ScriptError: the script ended with an error.
        """
        code = self._process.wait()
        self._reader.join(_LAST_WORDS_S)  # a process that the script left behind may hold the pipe
        self._print()
        if code < 0:
            name = signal.Signals(-code).name
            raise ScriptError(f"{self._script.name}: killed by {name}" + "; out of memory?" * (name == "SIGKILL"))
        if code > 0:
            raise ScriptError(f"{self._script.name}: {self._last_error() or f'ended with exit code {code}'}")

    def __enter__(self) -> Self:
        """Return the process; leaving the block stops it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the script that it is stopped, and after a moment kill what is left of it."""
        if self._process.poll() is None:
            self._answer(go_on=False)
            try:
                self._process.wait(_LAST_WORDS_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._line.close()
        self._reader.join(_LAST_WORDS_S)
        self._print()

    def _answer(self, *, go_on: bool) -> None:
        with suppress(OSError):  # it has ended by itself, which `check_end` tells
            self._line.sendall((json.dumps(go_on) + "\n").encode())

    def _read(self) -> None:
        with self._output:
            while line := self._output.readline(_LONGEST_LINE):
                self._printed.write(line)
                self._tail.append(line.rstrip("\n"))

    def _print(self) -> None:
        """Print what has come, in the trial's own thread, which alone writes its log."""
        print(self._printed.take(), end="")  # noqa: T201 - into the trial's log

    def _last_error(self) -> str:
        """The line of the last traceback that names the error."""
        lines = list(self._tail)
        starts = [index for index, line in enumerate(lines) if line == _TRACEBACK]
        after = lines[starts[-1] + 1 :] if starts else []
        return next((line for line in after if line and not line[0].isspace()), "")


def _environment(threads: int) -> dict[str, str]:
    """That of this process, with the threads set, output unbuffered, and this segtune found."""
    found = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
    for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
        found[f"{library}_NUM_THREADS"] = str(threads)
    home = str(Path(__file__).parent.parent)
    if home not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        found["PYTHONPATH"] = os.pathsep.join([home, *filter(None, [found.get("PYTHONPATH")])])
    return found
