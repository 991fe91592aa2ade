"""The live view in a real terminal, and plain lines in a pipe."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import small_settings

ROOT = Path(__file__).parent.parent.parent
_PATIENCE_S = 120
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, a terminal that a test can read"),
]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator["Terminal"]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


class Terminal:
    """A window of 110 columns and 30 lines in a tmux server of its own."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"
        self._folder = folder

    def start(self, *arguments: str) -> None:
        command = shlex.join([sys.executable, "-m", "tuning", *arguments])
        shown = f"cd {shlex.quote(str(self._folder))}; {command}; echo exit code $?; sleep {_PATIENCE_S}"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        self._tmux("new-session", "-d", "-x", "110", "-y", "30", shown, environment=environment)

    def press(self, key: str) -> None:
        self._tmux("send-keys", key)

    def wait_for(self, text: str) -> str:
        """What the screen shows once it shows this text."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            screen = self._tmux("capture-pane", "-p")
            if text in screen:
                return screen
            time.sleep(0.1)
        raise AssertionError(f"{text!r} was not shown in:\n{screen}")

    def close(self) -> None:
        self._tmux("kill-server", check=False)

    def _tmux(self, *arguments: str, environment: dict[str, str] | None = None, check: bool = True) -> str:
        command = ["tmux", "-S", str(self._socket), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=check).stdout


def test_the_table_is_drawn_in_place_and_ctrl_c_stops_cleanly_with_the_command_to_go_on(
    tmp_path: Path, terminal: Terminal
) -> None:
    settings = small_settings(
        model={"arguments": {"seconds": 0.1}},
        search={"trials": 2, "baselines": False, "sampler": "random"},
        scheduler={"type": "none"},
        resources={"concurrent": 1},
    )
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(settings))
    terminal.start("run", "study.yaml", "--dir", "study")
    running = terminal.wait_for("2/4")
    assert "trial 0  running" in running
    assert running.count("state") == 1  # redrawn, not printed again
    assert "0/2 done" in running
    terminal.press("C-c")
    ended = terminal.wait_for("exit code 130")
    assert "stopping; press Ctrl-C once more to stop at once" in ended
    assert f"interrupted; go on with: segtune resume {tmp_path / 'study'}" in ended.replace("\n", "")
    terminal.press("C-c")
