"""Times as people read them."""


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
