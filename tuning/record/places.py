"""The one place that decides whether a path of a study may be used: it must lie in the study and be what it should be.

A study may come from a stranger. Its files may be symbolic links to somewhere else, and its records may name any path.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from tuning.errors import UnsafePathError

_CHECKPOINT = re.compile(r"attempts/\d{2,}(-\d+)?/(?P<trial>\d{4,}|b\d{2,})/checkpoint_\w+")
_LONGEST = 200  # characters of a path that is shown


def file_in(root: Path, path: Path) -> Path:
    """A file of the study at `root`, which may still be missing; returns `path`.

    Raises:
        UnsafePathError: a symbolic link leads out of the study, or it is no plain file, such as a pipe.
    """
    return _checked(root, path, stat.S_ISREG, "plain file")


def folder_in(root: Path, path: Path) -> Path:
    """As `file_in`, of a folder."""
    return _checked(root, path, stat.S_ISDIR, "folder")


def checkpoint_in(root: Path, trial: str, path: object) -> Path:
    """The folder of a trial's checkpoint that a record names; it may be missing.

    Args:
        root: of the study.
        trial: the name of the trial's folder.
        path: as the record has it: text, relative to the study, such as `attempts/01/0007/checkpoint_000003`.

    Raises:
        UnsafePathError: it is anything else, or a symbolic link leads out of the study.
    """
    found = _CHECKPOINT.fullmatch(path) if isinstance(path, str) else None
    if found is None or found["trial"] != trial:
        shown = repr(path)
        shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
        raise UnsafePathError(f"{shown} is not the place of a checkpoint of {trial} in this study")
    return folder_in(root, root / found[0])


def checkpoint_folders(root: Path, trial: str) -> list[Path]:
    """The folders of a trial's checkpoints that are there, whether or not a record names them, oldest attempt first.

    Raises:
        UnsafePathError: a symbolic link leads out of the study.
    """
    attempts = folder_in(root, root / "attempts")
    found = sorted(attempts.glob(f"*/{trial}/checkpoint_*"))
    return [folder_in(root, folder) for folder in found]


def _checked(root: Path, path: Path, is_kind: Callable[[int], bool], kind: str) -> Path:
    place, mode = str(root), 0
    for part in path.relative_to(root).parts:
        if part == "..":
            raise UnsafePathError(f"{path}: leads out of the study.")
        place = os.path.join(place, part)  # noqa: PTH118 - this runs for each file of each trial, and pathlib is slow
        try:
            mode = os.lstat(place).st_mode
            if stat.S_ISLNK(mode):
                mode = _followed(root, place)
        except (FileNotFoundError, NotADirectoryError):
            return path
    if not is_kind(mode):
        raise UnsafePathError(f"{path}: is no {kind}. Hint: take it out of the study.")
    return path


def _followed(root: Path, link: str) -> int:
    """The mode of what a symbolic link leads to."""
    target, inside = os.path.realpath(link), os.path.realpath(root)
    if os.path.commonpath([target, inside]) != inside:
        raise UnsafePathError(
            f"{link}: is a symbolic link that leads out of the study. "
            "Hint: put what it leads to in its place; a whole study may lie anywhere, also behind a link."
        )
    return os.stat(target).st_mode  # noqa: PTH116 - as above
