"""What is known of a checkpoint, and its manifest: the file that is written last and makes the rest count."""

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from components.checkpoints.files import hash_file
from components.errors import CheckpointDamagedError, CheckpointNotFoundError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_NON_FINITE = ("nan", "inf", "-inf")  # JSON has no such numbers: they are written as these texts


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint whose manifest was read.

    Attributes:
        path: its directory.
        epoch: epoch of the weights, and of the metrics.
        metrics: as given at the save; may hold NaN.
        kind: what caused the save, such as `best` or `interval`.
        created: when, with time zone.
        metadata: versions, host and whatever the caller added.
        manifest_sha256: hash of the manifest, which holds the hashes of all files.
        bytes: size of all files together.
    """

    path: Path
    epoch: int
    metrics: dict[str, Any]
    kind: str
    created: datetime
    metadata: dict[str, Any]
    manifest_sha256: str
    bytes: int


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """The manifest as it is written."""
    metrics = {name: _encode(value) for name, value in manifest["metrics"].items()}
    return (json.dumps({**manifest, "metrics": metrics}, indent=1, allow_nan=False) + "\n").encode()


def read_record(directory: Path) -> tuple[CheckpointRecord, dict[str, Any]]:
    """Read a manifest without looking at the other files; returns the record and the manifest's table of files.

    Raises:
        CheckpointNotFoundError: there is no manifest.
        CheckpointDamagedError: it cannot be read, or is of another format version.
    """
    path = directory / MANIFEST
    if directory.is_symlink() or path.is_symlink():
        raise CheckpointDamagedError(f"{directory}: is a symbolic link, which a checkpoint never is.")
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointNotFoundError(f"{directory}: no {MANIFEST}, so this is no finished checkpoint.") from None
    try:
        manifest = json.loads(content)
        if manifest["format"] != FORMAT_VERSION:
            raise CheckpointDamagedError(
                f"{path}: found format version {manifest['format']!r}, this segtune reads {FORMAT_VERSION}."
            )
        record = CheckpointRecord(
            path=directory,
            epoch=int(manifest["weights_epoch"]),
            metrics={name: _decode(value) for name, value in manifest["metrics"].items()},
            kind=str(manifest["kind"]),
            created=datetime.fromisoformat(manifest["created"]),
            metadata=dict(manifest["metadata"]),
            manifest_sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content) + sum(int(facts["bytes"]) for facts in manifest["files"].values()),
        )
        return record, dict(manifest["files"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointDamagedError(f"{path}: the manifest cannot be read ({error!r}).") from error


def verify_checkpoint(directory: Path) -> CheckpointRecord:
    """Check every file of a checkpoint against its manifest; nothing but the manifest is parsed.

    Args:
        directory: the checkpoint.

    Returns:
        Its record.

    Raises:
        CheckpointNotFoundError: there is no manifest.
        CheckpointDamagedError: a file is missing, of another size or hash, or no plain file; names it.

    Example:
        >>> verify_checkpoint(Path("checkpoints/unet_best_epoch_003_20260101_120000")).epoch  # doctest: +SKIP
        3
    """
    directory = Path(directory)
    record, files = read_record(directory)
    for name, facts in files.items():
        path = directory / name
        if Path(name).name != name or name in ("", ".", ".."):
            raise CheckpointDamagedError(f"{directory}: the manifest names {name!r}, which is no plain file name.")
        if path.is_symlink() or not path.is_file():
            raise CheckpointDamagedError(f"{path}: missing, or no plain file.")
        size = path.stat().st_size
        if size != facts["bytes"]:
            raise CheckpointDamagedError(f"{path}: found {size} bytes, the manifest says {facts['bytes']}.")
        if hash_file(path) != facts["sha256"]:
            raise CheckpointDamagedError(f"{path}: its SHA-256 is not the manifest's; the file is damaged.")
    return record


def _encode(value: Any) -> Any:
    if isinstance(value, bool | int | str) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _decode(value: Any) -> Any:
    return float(value) if isinstance(value, str) and value in _NON_FINITE else value
