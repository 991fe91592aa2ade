"""Says which module of a network an error came from, and what it was given."""

from types import FrameType
from typing import Any

from torch import Tensor, nn

_CALL = "_call_impl"  # torch.nn.Module's frame around each forward


def module_hint(error: BaseException) -> str:
    """The innermost module that was at work, and the shapes of its inputs.

    Empty where none was, and for an error of the system, such as a full disk, which is not the network's.

    Example:
        >>> module_hint(ValueError("no"))
        ''
    """
    calls = [] if isinstance(error, OSError) else _calls(error)
    if not calls:
        return ""
    root, (module, arguments) = calls[0][0], calls[-1]
    name = next((path for path, part in root.named_modules() if part is module), "") or "the network itself"
    shapes = ", ".join(
        "×".join(map(str, part.shape)) if isinstance(part, Tensor) else type(part).__name__ for part in arguments
    )
    given = f", given {shapes}" if shapes else ""
    return f"Hint: it came from {name} ({type(module).__name__}) of {type(root).__name__}{given}."


def _calls(error: BaseException) -> list[tuple[nn.Module, tuple[Any, ...]]]:
    found, trace = [], error.__traceback__
    while trace is not None:
        frame: FrameType = trace.tb_frame
        module = frame.f_locals.get("self") if frame.f_code.co_name == _CALL else None
        if isinstance(module, nn.Module):
            found.append((module, tuple(frame.f_locals.get("args", ()))))
        trace = trace.tb_next
    return found
