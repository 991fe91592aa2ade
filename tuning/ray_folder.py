"""The folder of a Ray session: only this user may enter it, and nothing of it stays."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tuning.socket_paths import OF_RAY, socket_root

_PREFIX = "segtune-ray-"
_INNER = "r"  # Ray lets everybody into the folder that it is given, but not into the one around it
_LOCK = "lock"  # held by the process whose session it is; the kernel gives it back when that dies


@contextmanager
def ray_folder() -> Iterator[Path]:
    """A folder for Ray to make, for its sockets and logs; removed at the end, and those that a kill left first.

    Raises:
        OSError: it cannot be made.
    """
    root = socket_root(OF_RAY)
    for left in root.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    try:
        with FileLock(folder / _LOCK):
            yield folder / _INNER
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    """Remove another session's folder of this user, if the process that made it is dead."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not (folder / _LOCK).exists():
            return
        with FileLock(folder / _LOCK, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except (OSError, Timeout):
        return
