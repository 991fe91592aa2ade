"""Repairs and prunes the directories of managers from outside, while none of them need be open."""

from dataclasses import dataclass
from pathlib import Path

from components.checkpoints.inspection import Inspected, inspect_checkpoints
from components.checkpoints.local_store import LocalStore, leftovers
from components.checkpoints.record import CheckpointRecord
from components.checkpoints.retention import KeepPolicy
from components.errors import CheckpointNotFoundError


@dataclass(frozen=True)
class Change:
    """What was done to a path, or would be.

    Attributes:
        path: that was there before.
        what: in words.
        bytes: that are free now; 0 where the files were kept.
    """

    path: Path
    what: str
    bytes: int = 0


def repair_checkpoints(directory: Path) -> list[Change]:
    """Set aside what is damaged, remove what a kill left half done, and rebuild the indexes.

    Args:
        directory: of a manager, or one with several below it.

    Raises:
        CheckpointNotFoundError: there is no checkpoint in it or below it.
    """
    changes = []
    for root, found in _by_directory(directory).items():
        changes += [Change(path, "removed, left half done by a kill") for path in leftovers(root)]
        changes += [Change(each.path, f"set aside: {each.problem}") for each in found if each.problem]
        LocalStore(root)  # opening does all of it
    return changes


def prune_checkpoints(directory: Path, keep: KeepPolicy, *, dry_run: bool = False) -> list[Change]:
    """Remove what need not stay, for each model of each directory; never what is pinned or being read.

    Args:
        directory: of a manager, or one with several below it.
        keep: what stays.
        dry_run: only say what would be removed.

    Raises:
        CheckpointNotFoundError: there is no checkpoint in it or below it.
    """
    changes = []
    for root in _by_directory(directory):
        store = LocalStore(root)
        for records in _by_model(store.records()).values():
            staying = {record.path for record in keep.select(records, store.is_pinned)}
            for record in records:
                if record.path in staying:
                    continue
                if not dry_run:
                    store.remove(record)
                    if record.path.exists():
                        continue  # somebody reads it
                changes.append(Change(record.path, "would be removed" if dry_run else "removed", record.bytes))
    return changes


def _by_directory(directory: Path) -> dict[Path, list[Inspected]]:
    found: dict[Path, list[Inspected]] = {}
    for each in inspect_checkpoints(directory, verified=True):
        if each.path == directory:
            raise CheckpointNotFoundError(f"{directory}: is one checkpoint. Hint: give the directory that it is in.")
        found.setdefault(each.path.parent, []).append(each)
    return found


def _by_model(records: list[CheckpointRecord]) -> dict[str, list[CheckpointRecord]]:
    models: dict[str, list[CheckpointRecord]] = {}
    for record in records:
        models.setdefault(record.model_name, []).append(record)
    return models
