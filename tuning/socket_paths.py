"""Where sockets lie: their paths are short by the system's own rule, and `TMPDIR` may not be."""

import os
import tempfile
from pathlib import Path

_SOCKET_BYTES = 107  # of a path in `sockaddr_un` on Linux
OF_RAY = "segtune-ray-01234567/r/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"  # Ray's longest
_SHORT = Path("/tmp")  # noqa: S108 - Ray's own usual place; what is made below is only this user's


def socket_root(socket: str) -> Path:
    """The folder for temporary files; `/tmp` where the path of a socket in it would be too long.

    Args:
        socket: path within the folder, or one as long.

    Example:
        >>> len(str(socket_root("x" * 100)))
        4
    """
    usual = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    return _SHORT if _too_long(usual / socket) and _SHORT.is_dir() else usual


def start_hint(error: BaseException) -> str:
    """Why Ray does not start, as far as its error tells."""
    text, root = str(error), socket_root(OF_RAY)
    if "AF_UNIX" in text or "path length" in text or _too_long(root / OF_RAY):
        return f"Hint: the path {root} is too long for sockets; set TMPDIR to a shorter one, such as /tmp."
    if isinstance(error, PermissionError) or not os.access(root, os.W_OK):
        return f"Hint: {root} cannot be written to; set TMPDIR to a folder that can."
    return f"Hint: is {root} or /dev/shm full?"


def _too_long(path: Path) -> bool:
    return len(os.fsencode(path)) > _SOCKET_BYTES
