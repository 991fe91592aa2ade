"""File operations that a durable checkpoint is made of; each can fail, and none leaves more than a temporary file."""

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

FULL = (errno.ENOSPC, errno.EDQUOT)
_CHUNK = 1 << 20


def write_file(path: Path, content: bytes, *, durable: bool) -> dict[str, object]:
    """Write a new file, to the disk itself when `durable`; returns its size and SHA-256."""
    with path.open("xb") as stream:
        stream.write(content)
        if durable:
            force_to_disk(stream)
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def force_to_disk(stream: BinaryIO) -> None:
    """Have what was written on the disk itself."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Have the folder's entries on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, content: bytes, *, temporary: Path) -> None:
    """Replace a file atomically by a temporary one beside it that nobody else writes; it is not forced to the disk."""
    try:
        write_file(temporary, content, durable=False)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it; what cannot be removed stays."""
    with suppress(OSError):  # `ignore_errors` lets an error of closing through
        shutil.rmtree(path, ignore_errors=True)


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
