"""What is known of a checkpoint, and its manifest: the file that is written last and makes the rest count."""

import errno
import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from components.checkpoints.files import hash_file
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError, InvalidInputError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL, STATE, STATE_JSON = "model.safetensors", "state.safetensors", "state.json"
FILES = (MODEL, STATE, STATE_JSON)
_SEAL = "sha256"  # of the manifest's other entries: a flipped bit in a metric would make the wrong checkpoint best
_NON_FINITE = ("nan", "inf", "-inf")  # JSON has no such numbers: they are written as these texts


class UnknownFormatError(CheckpointError):
    """A whole checkpoint in a format that this version does not read; not damaged, so nobody sets it aside."""


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint whose manifest was read.

    Attributes:
        path: its directory.
        model_name: of whose model.
        epoch: epoch of the weights, and of the metrics.
        step: optimiser steps of the weights, where they were told.
        metrics: as given at the save; may hold NaN.
        kind: what caused the save, such as `best` or `interval`.
        created: when, with time zone.
        metadata: versions, host and whatever the caller added.
        manifest_sha256: hash of the manifest, which holds the hashes of all files.
        bytes: size of all files together.
    """

    path: Path
    model_name: str
    epoch: int
    step: int | None
    metrics: dict[str, Any]
    kind: str
    created: datetime
    metadata: dict[str, Any]
    manifest_sha256: str
    bytes: int


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """The manifest as it is written, sealed with its own hash.

    Raises:
        InvalidInputError: a metric is no number or text, or the metadata are not JSON.
    """
    metrics = {name: _encode(name, value) for name, value in manifest["metrics"].items()}
    try:
        body = json.loads(json.dumps({**manifest, "metrics": metrics}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"metadata: not JSON ({error}). Hint: keep texts, finite numbers and lists.") from error
    return (json.dumps({**body, _SEAL: _seal(body)}, indent=1) + "\n").encode()


def read_record(directory: Path) -> tuple[CheckpointRecord, dict[str, tuple[int, str]]]:
    """Read a manifest without looking at the other files; returns the record, and each file's size and hash.

    Raises:
        CheckpointNotFoundError: there is no manifest.
        CheckpointDamagedError: it cannot be read, or does not match its own hash.
        UnknownFormatError: it is of another format version.
        CheckpointError: the system does not let it be read now.
    """
    path = directory / MANIFEST
    for part in (directory, path):
        if part.is_symlink():
            raise CheckpointDamagedError(f"{part}: is a symbolic link, which no part of a checkpoint is.")
    with _reading(path):
        if path.exists() and not path.is_file():
            raise CheckpointDamagedError(f"{path}: no plain file.")
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointNotFoundError(f"{directory}: no {MANIFEST}, so this is no finished checkpoint.") from None
    try:
        manifest = json.loads(content)
        # The seal goes first: a flipped bit in the version is damage.
        if manifest.pop(_SEAL) != _seal(manifest):
            raise CheckpointDamagedError(f"{path}: does not match its own SHA-256; the file is damaged.")
        if manifest["format"] != FORMAT_VERSION:
            raise UnknownFormatError(
                f"{path}: found format version {manifest['format']!r}, this segtune reads {FORMAT_VERSION}. "
                "Hint: a newer segtune wrote it; update this one."
            )
        record = CheckpointRecord(
            path=directory,
            model_name=str(manifest["model_name"]),
            step=manifest.get("step"),
            epoch=int(manifest["weights_epoch"]),
            metrics={name: _decode(value) for name, value in manifest["metrics"].items()},
            kind=str(manifest["kind"]),
            created=datetime.fromisoformat(manifest["created"]),
            metadata=dict(manifest["metadata"]),
            manifest_sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content) + sum(int(facts["bytes"]) for facts in manifest["files"].values()),
        )
        return record, {name: (int(f["bytes"]), str(f["sha256"])) for name, f in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CheckpointDamagedError(f"{path}: the manifest cannot be read ({error!r}).") from error


def verify_checkpoint(directory: Path) -> CheckpointRecord:
    """Check every file of a checkpoint against its manifest; nothing but the manifest is parsed.

    Args:
        directory: the checkpoint.

    Returns:
        Its record.

    Raises:
        CheckpointNotFoundError: there is no manifest.
        CheckpointDamagedError: a file is missing, of another size or hash, no plain file, or not in the manifest;
            names it. Or the disk fails to read it.
        UnknownFormatError: it is of another format version.
        CheckpointError: the system does not let it be read now.

    Example:
        >>> verify_checkpoint(Path("checkpoints/unet_best_epoch_003_20260101_120000")).epoch  # doctest: +SKIP
        3
    """
    directory = Path(directory)
    record, files = read_record(directory)
    for name, (size, sha256) in files.items():
        path = directory / name
        if Path(name).name != name or name in ("", ".", ".."):
            raise CheckpointDamagedError(f"{directory}: the manifest names {name!r}, which is no plain file name.")
        with _reading(path):
            if path.is_symlink() or not path.is_file():
                raise CheckpointDamagedError(f"{path}: missing, or no plain file.")
            found = path.stat().st_size
            if found != size:
                raise CheckpointDamagedError(f"{path}: found {found} bytes, the manifest says {size}.")
            if hash_file(path) != sha256:
                raise CheckpointDamagedError(f"{path}: its SHA-256 is not the manifest's; the file is damaged.")
    with _reading(directory):
        present = {path.name for path in directory.iterdir() if not path.name.startswith(".")} - {MANIFEST}
    if present != set(files) or not present.issuperset(FILES):
        odd = ", ".join(sorted(present.symmetric_difference(files) | set(FILES).difference(files)))
        raise CheckpointDamagedError(f"{directory}: its files are not those of the manifest: {odd}.")
    return record


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What the disk cannot read is damaged; what the system refuses (rights, too many open files) need not be."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        kind = CheckpointDamagedError if error.errno == errno.EIO else CheckpointError
        raise kind(f"{path}: cannot be read: {error}") from error


def _seal(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _encode(name: str, value: Any) -> Any:
    if isinstance(value, bool | int | str) or value is None:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"metric {name!r}: found a {type(value).__name__}, must be a number.") from error
    return number if math.isfinite(number) else str(number)


def _decode(value: Any) -> Any:
    return float(value) if isinstance(value, str) and value in _NON_FINITE else value
