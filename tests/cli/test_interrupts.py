"""Ctrl-C ends a command with 130, also while what it holds is cleared away."""

import subprocess
import sys

IMPATIENT = """
import os, signal, sys, time
from tuning import cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it runs in the background without it

def clearing_away(**options):
    for _ in range(3):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    sys.exit(7)

cli.app = clearing_away
cli.main()
"""


def test_a_second_interrupt_ends_the_command_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", IMPATIENT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (130, "interrupted\n"), done.stderr
