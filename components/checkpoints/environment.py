"""Where and with what a checkpoint was made."""

import os
import platform
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("segtune", "torch", "numpy", "monai", "safetensors")
_GIT_PATIENCE_S = 5.0


@cache
def environment() -> dict[str, Any]:
    """Versions, host and the commit of the working directory; looked up once a process."""
    return {
        "python": platform.python_version(),
        **{name: found for name in _PACKAGES if (found := _version(name))},
        "host": socket.gethostname(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "command": Path(sys.argv[0]).name if sys.argv else "",
        **_git(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any]:
    """The commit, and whether files differ from it; nothing outside a repository or without git."""
    commit = _asked("rev-parse", "HEAD")
    return {} if commit is None else {"git_commit": commit, "git_dirty": bool(_asked("status", "--porcelain", "-uno"))}


def _asked(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "--no-optional-locks", *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            timeout=_GIT_PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
