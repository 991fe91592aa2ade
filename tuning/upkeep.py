"""Repairs and prunes the checkpoints of a study, under its lock."""

from pathlib import Path

from components.checkpoints import Change, inspect_checkpoints
from components.checkpoints.local_store import HIDDEN
from tuning.errors import StudyNotFoundError
from tuning.lock import study_lock
from tuning.record import StudyDirectory, folder_in, open_journal, read_index
from tuning.retention import GIB, kept, over_budget, remove_checkpoint

__all__ = ["GIB", "checkpoint_folders", "prune_study", "refused_lines", "repair_study", "set_aside", "study_of"]


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
    attempts = folder_in(study.root, study.root / "attempts")
    folders = [folder_in(study.root, folder) for folder in sorted(attempts.glob(f"*/{directory.name}"))]
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
        for found in inspect_checkpoints(folder_in(study.root, study.root / "attempts"), verified=True):
            if found.problem:
                set_aside(found.path)
                changes.append(Change(found.path, f"set aside: {found.problem}"))
        return changes


def set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint, so that it counts no more; nothing is overwritten. Returns where it is now."""
    aside = folder.with_name(f"{HIDDEN}damaged-{folder.name}")
    number = 2
    while aside.exists():
        aside, number = aside.with_name(f"{HIDDEN}damaged-{folder.name}-{number}"), number + 1
    return folder.rename(aside)


def refused_lines(study: StudyDirectory) -> list[str]:
    """What is refused of the indexes of a study: lines that name no checkpoint of their trial."""
    trials = [study.trial(entry.number) for entry in open_journal(study).trials()]
    return [line for trial in trials for line in read_index(trial)[1]]


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
            elif remove_checkpoint(study.root, line):
                changes.append(Change(path, "removed", line["bytes"]))
        return changes
