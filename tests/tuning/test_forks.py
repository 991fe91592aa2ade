"""The fork server: what a forked worker is like, and that there is a worker where the server is gone."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuning import StudyConfig
from tuning.forks import MONAI, ForkServer, client, fork_server, handle, start_early, worker_modules
from tuning.forks.handle import remove_left_folders

SCRIPT = """
import json, os, sys
facts = {"argv": sys.argv, "folder": os.getcwd(), "mark": os.environ.get("MARK")}
facts |= {"tuning": "tuning.trial" in sys.modules, "monai": "monai" in sys.modules}
facts |= {"pid": os.getpid(), "leads": os.getsid(0) == os.getpid(), "name": __name__}
facts["open"] = sorted(int(number) for number in os.listdir("/proc/self/fd"))[:-1]
drawn = []
if "ray" in sys.modules:
    import random, numpy, ray, torch
    drawn = [random.random(), numpy.random.rand(), torch.rand(1, dtype=torch.float64).item()]
    drawn += [ray.ObjectRef.from_random().hex(), ray.ActorClassID.from_random().hex(), ray.NodeID.from_random().hex()]
facts["random"] = drawn
facts["oom"] = open("/proc/self/oom_score_adj").read().strip()
print(json.dumps(facts), flush=True)
print("to stderr", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as found:
        assert found is not None
        yield found


def ask(server: ForkServer, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as Ray runs a worker; ends when the worker's output does."""
    (folder / "script.py").write_text(SCRIPT)
    command = f"exec {server.py_executable} {shlex.quote(str(folder / 'script.py'))} --flag 'two words'"
    environment = os.environ | {"MARK": "mine"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=120
    )


def test_a_fork_is_as_if_it_had_been_started_and_has_everything_imported(server: ForkServer, tmp_path: Path) -> None:
    workers = [ask(server, tmp_path) for _ in range(2)]
    facts = [json.loads(worker.stdout) for worker in workers]
    pids = [found.pop("pid") for found in facts]
    expected = {
        "argv": [str(tmp_path / "script.py"), "--flag", "two words"],
        "folder": str(tmp_path),
        "mark": "mine",
        "tuning": True,
        "monai": False,
        "leads": True,
        "name": "__main__",
        "open": [0, 1, 2],
        "oom": "1000",
    }
    drawn = [found.pop("random") for found in facts]
    assert [len(numbers) for numbers in drawn] == [6, 6]
    assert not set(drawn[0]) & set(drawn[1])
    assert facts == [expected, expected]
    assert [worker.stderr for worker in workers] == ["to stderr\n"] * 2
    assert pids[0] != pids[1]
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):  # no zombies
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_the_server_the_worker_is_started_as_ever(tmp_path: Path) -> None:
    with fork_server() as server:
        assert server is not None
    worker = ask(server, tmp_path)
    facts = json.loads(worker.stdout)
    assert (facts["argv"][1:], facts["mark"], facts["tuning"]) == (["--flag", "two words"], "mine", False)


def test_without_an_answer_of_the_server_the_client_becomes_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PATIENCE_S", 0.2)
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / "socket"))
        stopped.listen()
        assert not client.asked(str(tmp_path / "socket"), ["script.py"])


def test_a_fork_that_its_client_no_longer_wants_does_not_become_a_worker(server: ForkServer, tmp_path: Path) -> None:
    """It may have waited too long and become the worker itself, or was killed by Ray, which then starts another."""
    (tmp_path / "script.py").write_text(f"open({str(tmp_path / 'worked')!r}, 'w').close()")
    asked = {"arguments": [str(tmp_path / "script.py")], "environment": dict(os.environ), "folder": str(tmp_path)}
    request = json.dumps(asked).encode()
    ends = []
    for last_word in (b"", b"!"):
        reading, writing = os.pipe()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(server.py_executable.split()[-1])
            socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, writing, 2])
            connection.sendall(request)
            os.close(writing)
            assert connection.recv(1) == b"+"
            connection.sendall(last_word)
        with os.fdopen(reading) as output:
            output.read()  # until the fork has ended
        ends.append((tmp_path / "worked").exists())
    assert ends == [False, True]


def test_what_a_killed_server_left_is_removed_and_nothing_of_a_living_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ("killed", "living", "unbound", "just-made")
    killed, living, unbound, just_made = (tmp_path / f"segtune-forks-{name}" for name in names)
    for folder in (killed, living, unbound, just_made):
        folder.mkdir()
    with socket.socket(socket.AF_UNIX) as closed, socket.socket(socket.AF_UNIX) as listening:
        closed.bind(str(killed / "socket"))
        listening.bind(str(living / "socket"))
        listening.listen()
        for folder in (killed, living, unbound):
            os.utime(folder, (0, 0))
        remove_left_folders()
        assert set(tmp_path.iterdir()) == {living, just_made}


def test_a_server_started_early_is_taken_only_for_what_it_is_prepared_for() -> None:
    config = StudyConfig.load({"name": "one", "data": {"build": "tests.toys:tiny_data"}})
    modules, threads = worker_modules(config), config.resources.cpus_per_trial
    for wanted in ((modules, threads), (modules, threads + 1), ((), threads)):
        handle._early.extend(handle._start(modules, threads))  # as `start_early` does where no Ray runs yet
        early = handle._early[0]
        with fork_server(*wanted) as taken:
            assert taken is not None
            assert (taken is early) == (wanted == (modules, threads))
            assert taken.prepared == wanted
            assert (early._process.poll() is None) == (taken is early)


def test_the_server_ends_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    script = "import os, signal; from tuning.forks import ForkServer; server = ForkServer(); print(server._process.pid)"
    command = [sys.executable, "-c", f"{script}; import sys; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    pid = int(subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stdout)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not list(tmp_path.glob("segtune-*"))


def test_it_can_be_switched_off_and_a_long_path_is_gone_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SEGTUNE_FORK_SERVER", "0")
        with fork_server() as server:
            assert server is None
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with fork_server() as server:
        assert server is not None  # its socket lies elsewhere
    assert not list(long.iterdir())


def test_monai_is_imported_ahead_only_for_networks_that_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"name": "one", "data": {"build": "tests.toys:tiny_data"}}
    ours = StudyConfig.load(data)
    foreign = StudyConfig.load(data | {"model": {"build": "tests.toys:network"}})
    assert (worker_modules(ours), worker_modules(foreign)) == ((MONAI,), ())

    class RunningRay:
        @staticmethod
        def is_initialized() -> bool:
            return True

    monkeypatch.setitem(sys.modules, "ray", RunningRay)
    monkeypatch.setattr("subprocess.Popen", None)  # where Ray runs already, nothing is started
    start_early(ours)
