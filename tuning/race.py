"""The race: trials pause at each rung until all have come so far, and the best go on from where they stand.

Successive halving (Jamieson and Talwalkar 2016) with training that goes on: a promoted trial continues exactly, so that
nothing is trained twice. All that is decided follows from the journal alone, whoever was killed in between.
"""

from dataclasses import dataclass

from tuning.config import StudyConfig
from tuning.listener import Listener
from tuning.outcome import Judge, tell_end
from tuning.record import Journal, TrialEntry
from tuning.recovery import Unfinished
from tuning.rules import score_of


@dataclass(frozen=True)
class Race:
    """Decides at each rung who goes on; baselines always do, so that the winner is compared at equal length.

    Attributes:
        config: of the study.
        baselines: how many the study has.
        trials: how many are drawn.
    """

    config: StudyConfig
    baselines: int
    trials: int
    journal: Journal
    judge: Judge
    listener: Listener

    def may_draw(self, number: int) -> bool:
        """Whether a trial's turn has come: always, as all begin the race together."""
        del number
        return True

    def advance(self, unfinished: list[Unfinished]) -> list[Unfinished]:
        """Decide at the lowest rung if every trial has come so far, and say who goes on; the others wait.

        After a kill the same is decided again: at a rung those count too that were left behind or went on there.
        """
        at = {trial.number: trial.checkpoints[-1]["epoch"] if trial.checkpoints else 0 for trial in unfinished}
        waiting = {number for number, epoch in at.items() if self._waits(number, epoch)}
        going = at.keys() - waiting
        rung = min((at[number] for number in waiting), default=0)
        if waiting and self._all_started() and min(at.values()) >= rung:
            chosen = self._choose(rung)
            here = {number for number in waiting if at[number] == rung}
            for number in sorted(here - chosen):
                self._leave_behind(number, rung, chosen)
            going |= here & chosen
        return [trial for trial in unfinished if trial.number in going]

    def _waits(self, number: int, epoch: int) -> bool:
        """Whether a trial stands at a rung that it has not passed before."""
        reached = max(self.journal.entry(number).dice, default=0)
        return reached == epoch and epoch in self.config.scheduler.rungs(self.config.budget)

    def _all_started(self) -> bool:
        return self.journal.next_number() >= self.trials and self.journal.count_baselines() >= self.baselines

    def _choose(self, rung: int) -> set[int]:
        """Who goes on: every baseline, and the best of the drawn trials."""
        scheduler = self.config.scheduler
        there = [entry for entry in self.journal.trials() if rung in entry.dice and entry.state != "failed"]
        drawn = [entry for entry in there if entry.number >= 0]
        drawn.sort(key=lambda entry: (-self._score(entry, rung), entry.number))
        is_last = rung == scheduler.rungs(self.config.budget)[-1]
        best = drawn[: scheduler.promoted(len(drawn), is_last=is_last)]
        return {entry.number for entry in there if entry.number < 0} | {entry.number for entry in best}

    def _score(self, entry: TrialEntry, rung: int) -> float:
        return score_of(entry.dice, rung, self.config.scheduler.score)

    def _leave_behind(self, number: int, rung: int, chosen: set[int]) -> None:
        least = min(self._score(self.journal.entry(other), rung) for other in chosen if other >= 0)
        cause = f"not promoted at epoch {rung}: Dice {self._score(self.journal.entry(number), rung):.4f}"
        self.journal.note_stop(number, "pruned", f"{cause}, while the last that went on has {least:.4f}")
        tell_end(self.journal, self.judge, number)
        self.listener.trial_ended(self.journal.entry(number))
