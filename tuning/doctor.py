"""Whether this machine has what a study needs: each finding with what to do about it."""

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile, gettempdir

from filelock import FileLock, Timeout
from packaging.requirements import Requirement

from tuning.errors import EngineError

OK, NOTE, PROBLEM = "ok", "note", "problem"
_GIB, _MIB = 2**30, 2**20
_WRITTEN_MIB = 16
_SLOW_MIB_S = 20  # at which a checkpoint of 100 MiB holds a trial up for seconds
_FULL = 0.95  # from here on Ray refuses to spill
_FEW_GIB = 1.0
_EXTRAS = {"medical": "nibabel", "brain": "nilearn", "export": "onnx", "dashboard": "optuna_dashboard"}


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, whether it is `ok`, a `note` or a `problem`, and what helps."""

    name: str
    state: str
    found: str
    fix: str = ""


def examine(folder: Path) -> Iterator[Finding]:
    """Look at versions, processors, memory, disks and Ray, one after the other.

    Args:
        folder: where studies are to be written.
    """
    yield Finding("python", OK, f"{platform.python_version()} at {sys.executable}")
    yield from find_versions()
    yield from _look_at_processors()
    yield from _look_at_disks(folder)
    yield _try_lock(folder)
    yield _start_ray()
    yield from _look_at_extras()


def find_versions(distribution: str = "segtune") -> Iterator[Finding]:
    """Compare what is installed with what a distribution asks for; extras are left out."""
    try:
        wanted = [Requirement(text) for text in requires(distribution) or []]
        yield Finding(distribution, OK, version(distribution))
    except PackageNotFoundError:
        yield Finding(distribution, NOTE, "runs from a folder, not installed", f"pip install {distribution}")
        return
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        asked = f"{requirement.name}{requirement.specifier}"
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(requirement.name, PROBLEM, f"is missing, {asked} is needed", f"pip install '{asked}'")
            continue
        fits = requirement.specifier.contains(found, prereleases=True)
        yield Finding(requirement.name, OK if fits else PROBLEM, found, "" if fits else f"pip install '{asked}'")


def _look_at_processors() -> Iterator[Finding]:
    import torch  # noqa: PLC0415 - takes a second, and the versions come first

    from components.training import choose_precision  # noqa: PLC0415
    from tuning.machine import usable_cpus  # noqa: PLC0415

    threads = os.environ.get("OMP_NUM_THREADS")
    said = f", OMP_NUM_THREADS={threads}" if threads else ""
    precision = choose_precision("auto", "cpu")
    yield Finding("CPU", OK, f"{usable_cpus()} usable, {torch.get_num_threads()} threads{said}; precision {precision}")
    if not torch.cuda.is_available():
        yield Finding("GPU", NOTE, "none that PyTorch can use", "on a GPU machine, install PyTorch's CUDA build")
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        size = f"{facts.total_memory / _GIB:.0f} GiB"
        fix = "set resources.gpus_per_trial: 1, or a share of it, to use it"
        yield Finding("GPU", OK, f"{facts.name}, {size}; precision {choose_precision('auto', 'cuda')}", fix)


def _look_at_disks(folder: Path) -> Iterator[Finding]:
    for name, path, use in (
        ("shared memory", Path("/dev/shm"), "Ray shares data there; in a container give it more (--shm-size)"),  # noqa: S108
        ("temporary", Path(gettempdir()), "Ray's logs and staged checkpoints lie there; free some, or set TMPDIR"),
        ("studies", folder, "free some, or write studies elsewhere with --dir"),
    ):
        if path.exists():
            yield _look_at_space(name, path, use)
    yield _write(folder)


def _look_at_space(name: str, path: Path, use: str) -> Finding:
    usage = shutil.disk_usage(path)
    full = usage.free < _FEW_GIB * _GIB or usage.used > _FULL * usage.total
    return Finding(
        name,
        NOTE if full else OK,
        f"{usage.free / _GIB:.1f} of {usage.total / _GIB:.1f} GiB free in {path}",
        use if full else "",
    )


def _write(folder: Path) -> Finding:
    try:
        with NamedTemporaryFile(dir=folder) as file:
            started = time.perf_counter()
            file.write(os.urandom(_WRITTEN_MIB * _MIB))
            file.flush()
            os.fsync(file.fileno())
            speed = _WRITTEN_MIB / (time.perf_counter() - started)
    except OSError as error:
        return Finding("write", PROBLEM, f"{folder}: {error.strerror}", "write studies elsewhere with --dir")
    slow = speed < _SLOW_MIB_S
    fix = "write studies to a local disk with --dir, or save less often (checkpoint.strategy)" if slow else ""
    return Finding("write", NOTE if slow else OK, f"{speed:.0f} MiB/s with fsync in {folder}", fix)


def _try_lock(folder: Path) -> Finding:
    """Whether a second lock on a file is refused, as some network file systems fail to do."""
    fix = "write studies to a file system with locks: two runs of one study could not be told apart"
    try:
        with NamedTemporaryFile(dir=folder, prefix=".segtune-lock-") as file, FileLock(file.name, timeout=0):
            try:
                with FileLock(file.name, timeout=0):
                    return Finding("locks", PROBLEM, f"do not hold in {folder}", fix)
            except Timeout:
                return Finding("locks", OK, f"hold in {folder}")
    except OSError as error:
        return Finding("locks", PROBLEM, f"{folder}: {error.strerror}", fix)


def _start_ray() -> Finding:
    import ray  # noqa: PLC0415 - as torch above

    from tuning.config import ResourcesConfig  # noqa: PLC0415
    from tuning.engine import ray_running  # noqa: PLC0415

    started = time.perf_counter()
    try:
        with ray_running(ResourcesConfig()):
            elsewhere = ray.get(ray.remote(_process_id).remote()) != os.getpid()
    except EngineError as error:
        return Finding("ray starts", PROBLEM, str(error), "start ray by hand to see why: ray start --head")
    seconds = time.perf_counter() - started
    return Finding("ray starts", OK if elsewhere else PROBLEM, f"and runs a task, in {seconds:.1f} s")


def _process_id() -> int:
    return os.getpid()


def _look_at_extras() -> Iterator[Finding]:
    for extra, module in _EXTRAS.items():
        found = find_spec(module) is not None
        yield Finding(
            f"extra {extra}",
            OK if found else NOTE,
            "installed" if found else "not installed",
            "" if found else f"where you need it: pip install 'segtune[{extra}]'",
        )
