"""`segtune`, killed with SIGKILL at the n-th call of one of its own functions: `FUNCTION:N:before|after`."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from tuning import cli, recorder, run
from tuning.record import Journal

PLACES: dict[str, tuple[Any, str]] = {
    "ask": (Journal, "ask"),
    "set_overrides": (Journal, "set_overrides"),
    "new_baseline": (Journal, "new_baseline"),
    "report": (Journal, "report"),
    "note_stop": (Journal, "note_stop"),
    "finish": (Journal, "finish"),
    "append_line": (recorder, "append_line"),
    "note_generation": (Journal, "note_generation"),
    "note_clone": (Journal, "note_clone"),
    "prune": (recorder, "prune"),
    "replace_text": (run, "replace_text"),
}


def plant(place: str, count: int, when: str) -> None:
    """Let the process die at that call."""
    owner, name = PLACES[place]
    whole: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*arguments, **options)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


if __name__ == "__main__":
    place, count, when = sys.argv.pop(1).split(":")
    plant(place, int(count), when)
    cli.main()
