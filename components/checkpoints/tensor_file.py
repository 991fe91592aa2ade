"""Writes safetensors files, hashed while they are written.

The format is the library's, which reads them: eight bytes with the length of a JSON header, the header, the bytes of
the tensors (little-endian). Its own writer makes one copy of everything in memory, or leaves the file to be read again
for its hash; either costs as much as the write.
"""

import hashlib
import json
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue

import torch
from torch import Tensor

from components.checkpoints.files import force_to_disk, write_file
from components.errors import CheckpointError

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
}
_ALIGNMENT = 8
_SMALL = 4 << 20  # bytes up to which one copy and one hash take less time than a second thread


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, durable: bool) -> dict[str, object]:
    """Write a new safetensors file, to the disk itself when `durable`; returns its size and SHA-256.

    Args:
        path: must not exist.
        tensors: on the CPU, contiguous, by name.
        durable: force it to the disk.

    Raises:
        CheckpointError: a dtype that the format does not have, or a big-endian machine.
    """
    if sys.byteorder != "little":
        raise CheckpointError(f"{path}: safetensors are little-endian, this machine is not.")
    # Wider types first, so that each tensor begins at a multiple of its item's size, as the library has it.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header = _header({name: tensors[name] for name in order})
    parts = _parts(header, (tensors[name] for name in order))
    if sum(tensor.nbytes for tensor in tensors.values()) <= _SMALL:
        return write_file(path, b"".join(parts), durable=durable)
    hasher = _Hasher()
    size = 0
    try:
        with path.open("xb") as stream:
            for part in parts:
                hasher.add(part)
                stream.write(part)
                size += len(part)
            if durable:
                force_to_disk(stream)
    finally:
        digest = hasher.finish()
    return {"bytes": size, "sha256": digest}


def _header(tensors: Mapping[str, Tensor]) -> bytes:
    entries, offset = {}, 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise CheckpointError(f"state {name!r} is a tensor of {tensor.dtype}, which safetensors does not hold.")
        end = offset + tensor.numel() * tensor.element_size()
        entries[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _parts(header: bytes, tensors: Iterable[Tensor]) -> Iterator[memoryview]:
    yield memoryview(header)
    for tensor in tensors:
        if tensor.numel():
            yield tensor.reshape(-1).view(torch.uint8).numpy().data


class _Hasher:
    """SHA-256 in a thread of its own: hashing and writing both leave the interpreter free."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._queue: SimpleQueue[memoryview | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="checkpoint-hash", daemon=True)
        self._thread.start()

    def add(self, part: memoryview) -> None:
        """Hash this part after those before it."""
        self._queue.put(part)

    def finish(self) -> str:
        """Wait, and return the hash."""
        self._queue.put(None)
        self._thread.join()
        return self._digest.hexdigest()

    def _run(self) -> None:
        while (part := self._queue.get()) is not None:
            self._digest.update(part)
