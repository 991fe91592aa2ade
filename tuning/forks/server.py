"""The fork server: imports what workers need, then forks one for each client.

python -P server.py FOLDER NUMBER, where the number is that of a socket that listens already. A line of JSON on its
input says where to look for modules, and which to import beside the usual ones. It ends with its input, and removes the
folder, which is the socket's. Ray is imported only when the first client asks, in that client's environment: what Ray's
settings are to be, it reads while it is imported.
"""

import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Request = dict[str, Any]
_PATIENCE_S = 10.0  # for what a client has sent already, and for its answer
_USUAL = (
    "torch",
    "torch._dynamo",  # the first optimiser imports it
    "numpy",
    "pandas",
    "pyarrow",
    "components.training",
    "components.checkpoints",
    "components.losses",
)
_RAYS = ("ray", "ray.tune", "ray._private.workers.default_worker", "tuning.trial")


def main(folder: str, number: int) -> None:
    """Serve until the input ends; or, in a fork, be a worker."""
    with socket.socket(fileno=number) as listening:
        wanted = json.loads(sys.stdin.readline())
        sys.path[:] = wanted["paths"]
        preload((*_USUAL, *wanted["modules"]))
        worker = serve(listening)
    if worker is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        become_worker(*worker)


def preload(modules: tuple[str, ...]) -> None:
    """Import what can be imported; a worker that needs the rest says what is wrong with it."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001, S112 - a library may raise anything
            continue


@contextmanager
def ids_drawn_by_python() -> Iterator[None]:
    """Have actor classes that are defined meanwhile get their ids from Python.

    The first id that Ray draws seeds its generator, which all forks would then share: each would give the same ids to
    what it makes.
    """
    actor = importlib.import_module("ray.actor")
    ids = actor.ActorClassID
    vars(actor)["ActorClassID"] = SimpleNamespace(from_random=lambda: ids(os.urandom(ids.size())))
    try:
        yield
    finally:
        vars(actor)["ActorClassID"] = ids


def preload_rays() -> None:
    """Import Ray and what is built on it; Ray Tune defines actor classes."""
    with suppress(ImportError), ids_drawn_by_python():
        preload(_RAYS)


def serve(listening: socket.socket) -> tuple[Request, list[int]] | None:
    """Fork a worker for each client: in a fork, returns what it is to be; at the end of the input, None."""
    with_ray = False
    while True:
        ready, _, _ = select.select([sys.stdin, listening], [], [])
        if sys.stdin in ready:
            return None
        connection, _ = listening.accept()
        connection.settimeout(_PATIENCE_S)
        streams: list[int] = []
        try:
            request = received(connection, streams)
            if not with_ray:
                os.environ.update(request["environment"])
                preload_rays()
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no dead worker stays as a zombie
                with_ray = True
            if is_there(connection) and os.fork() == 0:
                leave_unless_wanted(connection)
                return request, streams
        except (OSError, ValueError):  # the client has died meanwhile, or there can be no more processes
            pass
        for stream in streams:
            os.close(stream)
        connection.close()


def received(connection: socket.socket, streams: list[int]) -> Request:
    """What a client asks for; its standard streams are added to `streams`."""
    length, found, _, _ = socket.recv_fds(connection, 8, 3)
    streams += found
    with connection.makefile("rb") as stream:
        request: Request = json.loads(stream.read(int.from_bytes(length, "big")))
        return request


def is_there(connection: socket.socket) -> bool:
    """Whether the client still waits; Ray gives up one that waits too long, and starts another."""
    readable, _, _ = select.select([connection], [], [], 0)
    return not readable  # it says nothing more, so that there is only its end to be read


def leave_unless_wanted(connection: socket.socket) -> None:
    """In a fork, tell the client of it and hear that it still wants it; the client may have become a worker itself."""
    try:
        connection.sendall(b"+")
        wanted = connection.recv(1) == b"!"
    except OSError:
        wanted = False
    if not wanted:
        os._exit(0)  # nothing to be tidied up: that is the server's
    connection.close()


def seed_anew() -> None:
    """Seed what does not by itself, as Python does, or else all workers begin with the same numbers."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()


def become_worker(request: Request, streams: list[int]) -> None:
    """Run the script that Ray wanted to run, as if this process had been started with it."""
    os.setsid()  # Ray kills a worker with its process group
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    seed_anew()
    with suppress(OSError):  # Ray says so of the process that it started, which was the client
        adjustment = os.environ.get("RAY_worker_oom_score_adjustment", "1000")  # noqa: SIM112 - Ray's name
        Path("/proc/self/oom_score_adj").write_text(adjustment, encoding="ascii")
    sys.argv = request["arguments"]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
