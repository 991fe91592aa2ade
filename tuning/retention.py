"""Which checkpoints stay: of a trial the best k and the latest, over all attempts; of a study what its budget holds.

Nothing but a checkpoint of the study is ever removed.
"""

import logging
import math
import shutil
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from components.checkpoints.record import FILES, MANIFEST, read_record
from components.checkpoints.sharing import remove_unless_leased
from components.errors import CheckpointError
from tuning.record import StudyDirectory, TrialDirectory, TrialEntry, checkpoint_in

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
            remove_checkpoint(trial.study_root, line)


def prune_to_budget(directory: StudyDirectory, entries: Sequence[TrialEntry], max_gib: float) -> None:
    """Remove checkpoints of ended trials until those of the whole study take no more than `max_gib`, in GiB."""
    for line in over_budget(directory, entries, max_gib):
        remove_checkpoint(directory.root, line)


def remove_checkpoint(root: Path, line: dict[str, Any]) -> bool:
    """Remove the checkpoint that a line of an index names, unless somebody reads it; returns whether it has gone.

    A folder that is not the checkpoint of that line stays, and a warning names it.

    Args:
        root: of the study.
        line: from `TrialDirectory.checkpoints`, which lets no path through that leads elsewhere.
    """
    folder = checkpoint_in(root, Path(line["path"]).parent.name, line["path"])
    try:
        sha256 = read_record(folder)[0].manifest_sha256
    except CheckpointError as error:
        _warn_once(f"not removed, as it is no whole checkpoint: {error}")
        return False
    if sha256 != line.get("sha256", sha256):
        _warn_once(f"{folder}: not removed, as it is another checkpoint than the trial's checkpoints.jsonl says")
        return False
    return remove_unless_leased(folder, remove_leftover) and not folder.exists()


def remove_leftover(folder: Path) -> None:
    """Remove the folder of a checkpoint, whole or half written; one that holds anything else stays, with a warning."""
    if not folder.is_dir() or folder.is_symlink():
        return
    foreign = [path for path in folder.iterdir() if not _belongs_to_a_checkpoint(path)]
    if foreign:
        _warn_once(f"{folder}: not removed, as it holds {foreign[0].name}, which is no part of a checkpoint")
    else:
        shutil.rmtree(folder)


def _belongs_to_a_checkpoint(path: Path) -> bool:
    return path.name in (*FILES, MANIFEST) or (path.name.startswith(".") and not path.is_dir())


@cache
def _warn_once(text: str) -> None:
    """Pruning looks at the same folder after each checkpoint."""
    _logger.warning("%s", text)


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
