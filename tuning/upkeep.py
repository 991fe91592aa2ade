"""Repairs and prunes the checkpoints of a study, under its lock."""

import shutil
from pathlib import Path

from components.checkpoints import Change, inspect_checkpoints
from components.checkpoints.local_store import HIDDEN
from components.checkpoints.sharing import remove_unless_leased
from tuning.errors import StudyNotFoundError
from tuning.lock import study_lock
from tuning.record import StudyDirectory, open_journal
from tuning.retention import GIB, kept, over_budget

__all__ = ["GIB", "checkpoint_folders", "prune_study", "repair_study", "study_of"]


def study_of(directory: Path) -> StudyDirectory | None:
    """The study that a directory is, or whose trial folder it is; None for any other."""
    for root in (directory, directory.parent.parent):
        study = StudyDirectory(root)
        if study.exists() and (root == directory or directory.parent.name == "trials"):
            return study
    return None


def checkpoint_folders(directory: Path) -> list[Path]:
    """Where the checkpoints of a directory stand: those of a trial are below `attempts`."""
    study = study_of(directory)
    if study is None or directory.absolute() == study.root:
        return [directory]
    folders = sorted(study.root.glob(f"attempts/*/{directory.name}"))
    if not folders:
        raise StudyNotFoundError(f"{directory}: this trial has no checkpoints.")
    return folders


def repair_study(study: StudyDirectory) -> list[Change]:
    """Set aside what is damaged; the next `segtune run` indexes and goes on from what is left.

    Raises:
        StudyBusyError: the study is being run.
    """
    with study_lock(study):
        changes = []
        for found in inspect_checkpoints(study.root / "attempts", verified=True):
            if found.problem:
                found.path.rename(found.path.with_name(f"{HIDDEN}damaged-{found.path.name}"))
                changes.append(Change(found.path, f"set aside: {found.problem}"))
        return changes


def prune_study(
    study: StudyDirectory, keep: int | None, max_gib: float | None, *, dry_run: bool = False
) -> list[Change]:
    """Keep the `keep` best and the latest of each trial, and of the whole study what fits into `max_gib`.

    Raises:
        StudyBusyError: the study is being run.
    """
    with study_lock(study):
        entries = open_journal(study).trials()
        going = []
        for entry in entries:
            lines = study.trial(entry.number).checkpoints()
            staying = kept(lines, keep)
            going += [line for line in lines if line not in staying]
        if max_gib is not None:
            going += over_budget(study, entries, max_gib, gone=[line["path"] for line in going])
        changes = []
        for line in going:
            path = study.root / line["path"]
            if dry_run:
                changes.append(Change(path, "would be removed", line["bytes"]))
            elif remove_unless_leased(path, shutil.rmtree):
                changes.append(Change(path, "removed", line["bytes"]))
        return changes
