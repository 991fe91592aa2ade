"""The driver's end: starts the fork server, and ends it."""

import json
import logging
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tuning.dotted import import_paths
from tuning.socket_paths import socket_root

if TYPE_CHECKING:
    from tuning.config import StudyConfig

MONAI = "monai.networks.nets"
SWITCH = "SEGTUNE_FORK_SERVER"
_HERE = Path(__file__).parent
_PREFIX = "segtune-forks-"  # of the socket's folder
_SOCKET = f"{_PREFIX}xxxxxxxx/socket"  # as long as its path within the folder for temporary files
_WAITING = 256  # clients
_BIND_S = 60.0  # in which a folder that was just made gets its socket
_logger = logging.getLogger(__name__)
_early: "list[ForkServer]" = []


class ForkServer:
    """A process that imports what workers need and forks them; it ends with `close`, or with this process.

    Args:
        modules: what it imports beside what every trial needs.
        threads: of numerical libraries in each worker, where they read it from the environment when imported.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, modules: Sequence[str] = (), threads: int = 1) -> None:
        remove_left_folders()
        self.prepared = (tuple(modules), threads)
        # Only this user may enter the folder, and so reach the socket.
        self._folder = tempfile.mkdtemp(prefix=_PREFIX, dir=socket_root(_SOCKET))
        self._address = f"{self._folder}/socket"
        try:
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(self._address)
                listening.listen(_WAITING)  # from now on a client waits for the server, however long that imports
                self._process = _start_process(self._folder, listening.fileno(), threads)
        except OSError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        assert self._process.stdin is not None
        self._lifeline = self._process.stdin  # where it is closed, by a kill as well, the server ends
        wanted = json.dumps({"paths": import_paths(), "modules": list(modules)}).encode() + b"\n"
        with suppress(BrokenPipeError):  # it has died, so that clients start workers the usual way
            self._lifeline.write(wanted)
            self._lifeline.flush()

    @property
    def py_executable(self) -> str:
        """What Ray runs in the place of the interpreter."""
        return shlex.join([sys.executable, "-I", "-S", str(_HERE / "client.py"), self._address])

    def close(self) -> None:
        """Fork no more; workers that live go on."""
        with suppress(BrokenPipeError):
            self._lifeline.close()
        self._process.kill()  # it may be importing, and has nothing to lose
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def worker_modules(config: "StudyConfig") -> tuple[str, ...]:
    """What a study's trials import beside what all trials do: MONAI, which takes seconds, where the network is its."""
    ours = config.model.build.startswith(("monai.", "monai:", "components."))
    return (MONAI,) if ours and config.script is None else ()


def start_early(config: "StudyConfig") -> None:
    """Start the server that the next `fork_server` takes, so that it imports while this process does.

    Nothing is started where Ray runs already: its workers are started as they were.
    """
    ray = sys.modules.get("ray")
    if not _early and not (ray and ray.is_initialized()):
        _early.extend(_start(worker_modules(config), config.resources.cpus_per_trial))


@contextmanager
def fork_server(modules: Sequence[str] = (), threads: int = 1) -> Iterator[ForkServer | None]:
    """A fork server, started now or early; None where there can be none, so that Ray starts workers its own way.

    One that was started early for other modules, or another number of threads, is ended.
    """
    found = _take_early((tuple(modules), threads)) or _start(modules, threads)
    try:
        yield found[0] if found else None
    finally:
        for server in found:
            server.close()


def remove_left_folders() -> None:
    """Remove the sockets of servers that were killed together with their drivers.

    A server that lives listens, also one in another container that has the same folder for temporary files.
    """
    for folder in socket_root(_SOCKET).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another driver removes it too
            facts = folder.stat()
            old = time.time() - facts.st_mtime > _BIND_S
            if facts.st_uid == os.getuid() and old and not _is_listened_to(folder / "socket"):
                shutil.rmtree(folder, ignore_errors=True)


def _is_listened_to(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)  # noqa: FBT003 - the name says it
        try:
            connection.connect(str(address))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # many wait there already
            pass
        return True


def _take_early(wanted: tuple[tuple[str, ...], int]) -> list[ForkServer]:
    """The server that was started early, if it is prepared for what is wanted."""
    taken = [_early.pop()] if _early else []
    for server in taken:
        if server.prepared != wanted:
            server.close()
            return []
    return taken


def _start_process(folder: str, listening: int, threads: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-P", str(_HERE / "server.py"), folder, str(listening)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"OMP_NUM_THREADS": str(threads)} | os.environ,
        pass_fds=[listening],
        start_new_session=True,  # Ctrl-C is the driver's
    )


def _start(modules: Sequence[str], threads: int) -> list[ForkServer]:
    if sys.platform != "linux" or os.environ.get(SWITCH) == "0":
        return []
    try:
        return [ForkServer(modules, threads)]
    except OSError as error:
        _logger.info("workers are not forked: %s", error)
        return []
