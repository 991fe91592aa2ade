"""The command in tests: in a process of its own, or quicker within this one."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tuning import cli

ROOT = Path(__file__).parent.parent
Said = subprocess.CompletedProcess[str]


def segtune(*arguments: str, cwd: Path = ROOT, **environment: str) -> Said:
    """Run the command as a shell does."""
    command = [sys.executable, "-m", "tuning", *arguments]
    setting = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | environment
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=setting, check=False, timeout=200)


def segtune_here(*arguments: str, cwd: Path = ROOT) -> Said:
    """Run the command within this process, which has all imports behind it and maybe Ray; it must have an end."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["segtune", *arguments])
        patch.setenv("COLUMNS", "120")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as ended:
                code = ended.code or 0
    return Said(["segtune", *arguments], code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())
