"""Why trials fail: kinds that call for different help."""

import os
import re

from components.checkpoints.files import FULL
from components.errors import DiskFullError, NonFiniteLossError
from components.training.memory import memory_hint
from tuning.errors import ScriptError

OUT_OF_MEMORY, NAN, ERROR, LOST_WORKER, LOST_NODE = "out of memory", "NaN", "error", "lost worker", "lost node"
FULL_DISK = "full disk"  # no trial fails of it: it ends the attempt, and the trial goes on at the next
_MEMORY_MONITOR = ("OutOfMemoryError", "running low on memory")  # what Ray says when it killed a worker for its memory
# What Ray says when the machine that a worker ran on is gone, or was taken away. One whose line just breaks is called
# unavailable at first, as a worker's own is: that stays a lost worker.
_NODE_GONE = re.compile(r"NodeDiedError|node has died|node it was running on is dead|preempted|node preemption")


def failure_kind(error: BaseException) -> str:
    """What kind of failure an error inside a trial is.

    Example:
        >>> failure_kind(MemoryError()), failure_kind(ValueError("no step for 1 channels"))
        ('out of memory', 'error')
    """
    if memory_hint(error):
        return OUT_OF_MEMORY
    if isinstance(error, DiskFullError) or (isinstance(error, OSError) and error.errno in FULL):
        return FULL_DISK
    if isinstance(error, ScriptError):
        return _script_kind(str(error))
    return NAN if isinstance(error, NonFiniteLossError) else ERROR


def _script_kind(text: str) -> str:
    """A script's error comes as text, from another process."""
    low = text.lower()
    if "out of memory" in low or "memoryerror" in low:
        return OUT_OF_MEMORY
    if any(os.strerror(number).lower() in low for number in FULL):
        return FULL_DISK
    return NAN if "val_dice is nan" in low else ERROR


def death_kind(text: str) -> str:
    """What kind of failure a worker's death is, by what Ray says of it."""
    if any(sign in text for sign in _MEMORY_MONITOR):
        return OUT_OF_MEMORY
    return LOST_NODE if _NODE_GONE.search(text) else LOST_WORKER


def same_reason(cause: str) -> str:
    """A cause without its numbers, so that two failures of one reason compare equal.

    Example:
        >>> same_reason("epoch 2, batch 13: the loss is NaN") == same_reason("epoch 1, batch 4: the loss is NaN")
        True
    """
    return re.sub(r"[+-]?\d[\d.e+-]*", "#", cause)
