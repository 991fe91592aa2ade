"""Durations as people read and write them."""

import re
from datetime import datetime, time, timedelta

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)\s*")
_CLOCK = re.compile(r"until\s+(\d{1,2})(?::(\d{2}))?")
_MORNING = time(7)
_FORMS = "30m, 2h, 1h30m, overnight, until 6:30"


def duration_text(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds.

    Example:
        >>> duration_text(3700), duration_text(61), duration_text(1)
        ('1 h 01 min', '1 min 01 s', '1 s')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def parse_duration(text: str, now: datetime | None = None) -> float | None:
    """Seconds that a text asks for; None where it is not a duration.

    Args:
        text: such as `90s`, `30m`, `1h30m`, `2 h`, `1.5h`, `1d`; `until 6:30`, the next time that a clock shows that;
            or `overnight`, until 7 in the morning.
        now: for `until`; by default the local time.

    Example:
        >>> parse_duration("1h30m"), parse_duration("0.5 min"), parse_duration("2x")
        (5400.0, 30.0, None)
        >>> parse_duration("until 6:30", datetime(2026, 12, 1, 22, 30))
        28800.0
    """
    text = text.strip().lower()
    clock = _CLOCK.fullmatch(text)
    if clock or text == "overnight":
        return _seconds_until(clock, now or datetime.now().astimezone())
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return sum(float(part[1]) * _UNITS_S[part[2]] for part in parts)


def seconds_of(budget: str) -> float:
    """The wall-clock time that a budget asks for.

    Raises:
        ValueError: it is not a duration above 0; says how to write one.

    Example:
        >>> seconds_of("1h30m")
        5400.0
    """
    seconds = parse_duration(budget)
    if seconds is None or not seconds > 0:
        raise ValueError(f"found {budget!r}, not a time to spend. Hint: write {_FORMS}.")
    return seconds


def _seconds_until(clock: re.Match[str] | None, now: datetime) -> float | None:
    try:
        wanted = time(int(clock[1]), int(clock[2] or 0)) if clock else _MORNING
    except ValueError:  # 25:00
        return None
    then = now.replace(hour=wanted.hour, minute=wanted.minute, second=0, microsecond=0)
    return ((then if then > now else then + timedelta(days=1)) - now).total_seconds()
