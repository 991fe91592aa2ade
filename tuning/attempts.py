"""What the study's attempts have come to: how long they took, and which of them was killed."""

from datetime import datetime
from typing import Any

from tuning.record import StudyDirectory


def note_killed(directory: StudyDirectory) -> None:
    """Give an attempt that was killed the end that it could not write; the caller holds the study's lock.

    It is taken to have lasted until it last recorded an epoch.
    """
    events = directory.attempts()
    if not events or events[-1]["event"] != "start":
        return
    started = datetime.fromisoformat(events[-1]["time"]).timestamp()
    rows = directory.root.glob("trials/*/metrics.jsonl")
    seconds = max((path.stat().st_mtime - started for path in rows), default=0.0)
    directory.log_attempt(events[-1]["attempt"], "end", how="killed", seconds=round(max(seconds, 0.0), 1))


def seconds_so_far(directory: StudyDirectory) -> float:
    """Wall-clock time of all attempts that have ended."""
    return sum(float(event["seconds"]) for event in directory.attempts() if event["event"] == "end")


def last_start(directory: StudyDirectory) -> dict[str, Any] | None:
    """What was noted when the last attempt started."""
    return next((event for event in reversed(directory.attempts()) if event["event"] == "start"), None)
