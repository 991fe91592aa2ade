"""Which of a trial's checkpoints stay, over all attempts: the best k and the latest."""

import shutil
from pathlib import Path
from typing import Any

from tuning.record import TrialDirectory


def kept(lines: list[dict[str, Any]], keep: int | None) -> list[dict[str, Any]]:
    """Index lines of the `keep` best (of equal ones the later) and of the latest; None keeps all."""
    if keep is None or not lines:
        return lines
    best = sorted(lines, key=lambda line: (line["dice"], line["epoch"]), reverse=True)[:keep]
    latest = max(lines, key=lambda line: line["epoch"])
    return [line for line in lines if line in best or line is latest]


def prune(trial: TrialDirectory, keep: int | None, *, spare: Path | None = None) -> None:
    """Remove the folders that need not stay.

    Args:
        trial: whose checkpoints are looked at, over all attempts.
        keep: number of best checkpoints that stay beside the latest; None keeps all.
        spare: attempt folder that Ray Tune still prunes itself.
    """
    lines = trial.checkpoints()
    staying = kept(lines, keep)
    for line in lines:
        folder = trial.study_root / line["path"]
        if line not in staying and not (spare and folder.is_relative_to(spare)):
            shutil.rmtree(folder)
