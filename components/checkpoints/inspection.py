"""Looks at checkpoints from outside, wherever they stand, and changes nothing."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.checkpoints.local_store import HIDDEN, is_checkpoint
from components.checkpoints.record import CheckpointRecord, read_record, verify_checkpoint
from components.errors import CheckpointError, CheckpointNotFoundError


@dataclass(frozen=True)
class Inspected:
    """A checkpoint as it was found.

    Attributes:
        path: its directory.
        record: what its manifest says; None where that cannot be read.
        problem: what is wrong with it; empty when nothing is.
    """

    path: Path
    record: CheckpointRecord | None
    problem: str = ""

    def row(self, root: Path) -> dict[str, Any]:
        """Plain values of a table's row; the path is relative to `root`."""
        record = self.record
        return {
            "path": str(self.path.relative_to(root)) if self.path != root else self.path.name,
            "epoch": record and record.epoch,
            "kind": record and record.kind,
            "metrics": record and {name: _plain(value) for name, value in record.metrics.items()},
            "bytes": record and record.bytes,
            "created": record and record.created.isoformat(timespec="seconds"),
            "problem": self.problem,
        }


def _plain(value: Any) -> Any:
    """The value as JSON has it: without NaN and infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def inspect_checkpoints(directory: Path, *, verified: bool) -> list[Inspected]:
    """Look at every checkpoint in or below a directory.

    Args:
        directory: a checkpoint, a manager's directory, a trial's folder, a whole study.
        verified: hash every file; otherwise only manifests are read.

    Raises:
        CheckpointNotFoundError: there is no such directory, or no checkpoint in it.
    """
    if not directory.is_dir():
        raise CheckpointNotFoundError(f"{directory}: there is no such directory.")
    found = [_inspect(path, verified=verified) for path in _below(directory)]
    if not found:
        raise CheckpointNotFoundError(f"{directory}: there is no checkpoint in it or below it.")
    return found


def _below(directory: Path) -> Iterator[Path]:
    """Checkpoints in order of path; what a store set aside or had not finished is none."""
    if is_checkpoint(directory):
        yield directory
        return
    for path in sorted(directory.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(HIDDEN):
            yield from _below(path)


def _inspect(path: Path, *, verified: bool) -> Inspected:
    try:
        record = verify_checkpoint(path) if verified else read_record(path)[0]
    except CheckpointError as error:
        return Inspected(path, _readable(path), str(error))
    return Inspected(path, record)


def _readable(path: Path) -> CheckpointRecord | None:
    try:
        return read_record(path)[0]
    except CheckpointError:
        return None
