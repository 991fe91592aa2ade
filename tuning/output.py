"""What a trial prints, caught so that the driver can write it to the trial's log."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from components.plain_text import BoundedText


@contextmanager
def captured_output() -> Iterator[BoundedText]:
    """Catch stdout, stderr, warnings and log records of INFO and above of this process, and put everything back."""
    caught = BoundedText()
    handler = logging.StreamHandler(caught)
    handler.addFilter(lambda record: not record.name.startswith("ray"))
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with redirect_stdout(caught), redirect_stderr(caught), warnings.catch_warnings():
            yield caught
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        sys.stdout.flush()
