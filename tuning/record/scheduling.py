"""What the scheduler was told and what it decided, in the order in which the results arrived: `scheduler.jsonl`.

A line is written before its result stands in the journal, so that a result of the journal that has no line is one of a
study that an older segtune ran, or of the last seconds before a power cut. It was decided on all the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.json_lines import append_line, mend_lines, read_lines
from tuning.record.entry import TrialEntry

CONTINUE = "continue"
STOP = "stop"
WAIT = "wait"  # for others, at a rung


@dataclass(frozen=True)
class SchedulerDecision:
    """What was decided on a trial at an epoch.

    Attributes:
        trial: number of the trial.
        epoch: the epoch.
        dice: what it was decided on; an epoch that is trained again is not decided on again.
        action: `continue`, `stop` or `wait`.
        state: that a stopped trial ends in, `complete` or `pruned`.
        cause: of the stop, in words.
    """

    trial: int
    epoch: int
    dice: float
    action: str = CONTINUE
    state: str = ""
    cause: str = ""


def note_decision(path: Path, decision: SchedulerDecision) -> None:
    """Append a decision; all but the usual `continue` are on the disk when this returns."""
    facts: dict[str, Any] = {
        "trial": decision.trial,
        "epoch": decision.epoch,
        "dice": decision.dice,
        "action": decision.action,
    }
    if decision.action == STOP:
        facts |= {"state": decision.state, "cause": decision.cause}
    append_line(path, facts, durable=decision.action != CONTINUE)


def read_scheduler_decisions(path: Path) -> list[SchedulerDecision]:
    """The decisions, oldest first; none where there is no file."""
    return [
        SchedulerDecision(
            line["trial"], line["epoch"], line["dice"], line["action"], line.get("state", ""), line.get("cause", "")
        )
        for line in read_lines(path, is_whole=_is_decision)
    ]


def mend_decisions(path: Path) -> None:
    """Make the file one that can be appended to, with what is damaged set aside; nobody else may write meanwhile."""
    mend_lines(path, is_whole=_is_decision)


def _is_decision(row: dict[str, Any]) -> bool:
    dice, known = row.get("dice"), all(type(row.get(name)) is int for name in ("trial", "epoch"))
    texts = all(isinstance(row.get(name, ""), str) for name in ("state", "cause"))
    return known and texts and isinstance(dice, int | float) and row.get("action") in (CONTINUE, STOP, WAIT)


def in_order_of_arrival(
    entries: Iterable[TrialEntry], decisions: Sequence[SchedulerDecision]
) -> list[SchedulerDecision]:
    """Every result of the journal, with the Dice that it was decided on.

    A result without a line comes right after the epoch before it, or first of all where no earlier epoch of its trial
    has one; of several such, the lower epoch comes first, and of equal epochs the lower number. What the journal does
    not know is left out: it was set back to an older copy.

    Args:
        entries: the trials of the journal.
        decisions: those that were noted, oldest first; of an epoch the last one counts.
    """
    lines = {(decision.trial, decision.epoch): place for place, decision in enumerate(decisions)}
    placed = []
    for entry in entries:
        after = -1
        for epoch, dice in sorted(entry.dice.items()):
            found = lines.get((entry.number, epoch))
            after = max(after, -1 if found is None else found)
            decision = SchedulerDecision(entry.number, epoch, dice) if found is None else decisions[found]
            placed.append((after, epoch, entry.number, decision))
    return [decision for *_, decision in sorted(placed, key=lambda place: place[:3])]
