"""A large matrix in pieces whose temporary values stay in a core's cache."""

import threading
from collections.abc import Iterator

import torch
from torch import Tensor

PIECE = 262_144  # entries of a temporary tensor; measured flat from 65,536 to 524,288, best here

_kept = threading.local()

Slices = tuple[slice, slice]


def in_pieces(like: Tensor) -> bool:
    """Whether work on such a tensor should go piece by piece: on a CPU, unless a compiler is looking."""
    return like.device.type == "cpu" and not torch.compiler.is_compiling()


def pieces(rows: int, columns: int) -> Iterator[Slices]:
    """Slices of rows and columns that cover a matrix, about `PIECE` entries each."""
    height, width = max(1, PIECE // columns), min(columns, PIECE)
    for top in range(0, rows, height):
        for left in range(0, columns, width):
            yield slice(top, min(top + height, rows)), slice(left, min(left + width, columns))


def column_pieces(rows: int, columns: int) -> Iterator[slice]:
    """Slices of columns that cover a matrix, about `PIECE` entries of all rows each."""
    width = max(1, PIECE // rows)
    for left in range(0, columns, width):
        yield slice(left, min(left + width, columns))


def workspace(count: int, like: Tensor) -> tuple[Tensor, ...]:
    """So many tensors in the shape and dtype of another on the CPU, with anything in them.

    They are the same memory at each call of a thread: an allocator that hands large blocks back to the system pays for
    each new one in page faults, which cost more than the arithmetic. What is in them lasts until the next call.
    """
    size = count * like.numel()
    kept: Tensor | None = getattr(_kept, str(like.dtype), None)
    if kept is None or kept.numel() < size:
        with torch.inference_mode(mode=False):  # what is made under it could not be written to outside
            kept = torch.empty(size, dtype=like.dtype, device=like.device)
        setattr(_kept, str(like.dtype), kept)
    return kept[:size].view(count, *like.shape).unbind()
