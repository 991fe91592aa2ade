"""Which checkpoints stay: of a trial the best k and the latest, over all attempts; of a study what its budget holds."""

import logging
import math
import shutil
from collections.abc import Collection, Sequence
from typing import Any

from components.checkpoints.sharing import remove_unless_leased
from tuning.record import StudyDirectory, TrialDirectory, TrialEntry

_logger = logging.getLogger(__name__)
GIB = 1 << 30


def kept(lines: list[dict[str, Any]], keep: int | None) -> list[dict[str, Any]]:
    """Index lines of the `keep` best (of equal ones the later) and of the latest; None keeps all."""
    if keep is None or not lines:
        return lines
    best = sorted(lines, key=lambda line: (line["dice"], line["epoch"]), reverse=True)[:keep]
    latest = max(lines, key=lambda line: line["epoch"])
    return [line for line in lines if line in best or line is latest]


def prune(trial: TrialDirectory, keep: int | None) -> None:
    """Remove the folders that need not stay, but for those that somebody reads.

    Args:
        trial: whose checkpoints are looked at, over all attempts.
        keep: number of best checkpoints that stay beside the latest; None keeps all.
    """
    if keep is None:
        return
    lines = trial.checkpoints()
    staying = kept(lines, keep)
    for line in lines:
        if line not in staying:
            remove_unless_leased(trial.study_root / line["path"], shutil.rmtree)


def prune_to_budget(directory: StudyDirectory, entries: Sequence[TrialEntry], max_gib: float) -> None:
    """Remove checkpoints of ended trials until those of the whole study take no more than `max_gib`, in GiB."""
    for line in over_budget(directory, entries, max_gib):
        remove_unless_leased(directory.root / line["path"], shutil.rmtree)


def over_budget(
    directory: StudyDirectory, entries: Sequence[TrialEntry], max_gib: float, gone: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Index lines to give up so that the study's checkpoints take no more than `max_gib`, in GiB.

    First what is not its trial's best, then the bests, in both of the worst trial first. The study's best trial keeps
    its best, and a trial that runs keeps everything.

    Args:
        directory: of the study.
        entries: its trials.
        max_gib: the budget.
        gone: paths that do not count any more.
    """
    trials = {
        entry.number: [line for line in directory.trial(entry.number).checkpoints() if line["path"] not in gone]
        for entry in entries
    }
    ended = sorted(
        (entry for entry in entries if entry.state != "running" and trials[entry.number]),
        key=lambda entry: (not entry.infeasible, entry.best[1] if entry.best else -math.inf),
    )
    bests, others = [], []
    for entry in ended:
        *rest, best = sorted(trials[entry.number], key=lambda line: (line["dice"], line["epoch"]))
        others += rest
        bests.append(best)
    excess = sum(line["bytes"] for lines in trials.values() for line in lines) - max_gib * GIB
    given_up = []
    for line in (*others, *bests[:-1]):
        if excess <= 0:
            break
        given_up.append(line)
        excess -= line["bytes"]
    if excess > 0:
        _logger.warning(
            "the checkpoints take %.3g GiB more than checkpoint.max_gib; all that is left is needed", excess / GIB
        )
    return given_up
