"""Population-based training: at fixed epochs the weak trials go on from the checkpoints of the strong ones.

Source: Jaderberg et al., Population Based Training of Neural Networks (2017); here a whole population waits for its
last trial before it compares itself, so that what it decides hangs on the journal alone, not on who happens to run.
"""

import math
import shutil
from dataclasses import dataclass
from random import Random

from components.checkpoints import verify_checkpoint
from search_spaces import Space
from tuning.config import StudyConfig
from tuning.exploring import explore
from tuning.listener import Listener
from tuning.outcome import Judge, tell_end
from tuning.record import Clone, Journal, StudyDirectory, TrialEntry, append_line, rewrite_lines
from tuning.recovery import Unfinished, index_line
from tuning.retention import remove_leftover


@dataclass(frozen=True)
class Populations:
    """The populations of a study: trials 0 to n-1, then n to 2n-1, one after the other.

    Attributes:
        config: of the study.
        space: what mutable settings are drawn from.
    """

    config: StudyConfig
    space: Space
    directory: StudyDirectory
    journal: Journal
    judge: Judge
    listener: Listener

    def may_draw(self, number: int) -> bool:
        """Whether a trial's turn has come: those of the populations before its own have ended."""
        size = self.config.scheduler.population
        first = number // size * size
        return all(self.journal.entry(earlier).state != "running" for earlier in range(max(0, first - size), first))

    def advance(self, unfinished: list[Unfinished]) -> list[Unfinished]:
        """Decide what can be decided, and say who goes on; the others wait for their population.

        What is decided is noted for the whole population before anything is copied, and all of it can be done again
        after a kill.
        """
        alone = [trial for trial in unfinished if trial.number < 0]
        members = [trial for trial in unfinished if trial.number >= 0]
        if not members:
            return alone
        size = self.config.scheduler.population
        first = min(trial.number for trial in members) // size * size
        return alone + self._advance(first, {trial.number: _epoch(trial) for trial in members})

    def _advance(self, first: int, epochs: dict[int, int]) -> list[Unfinished]:
        """Bring a population forward; `epochs` says where its unfinished trials stand."""
        decided = self.journal.generations(first)
        epoch = max(decided, default=0)
        epochs = {number: at for number, at in epochs.items() if not self._gave_up(number, at)}
        waiting = self._apply(decided.get(epoch, []), epochs)
        epochs = {number: at for number, at in epochs.items() if number not in waiting}
        following = next((rung for rung in self.config.scheduler.rungs(self.config.budget) if rung > epoch), None)
        all_drawn = self.journal.next_number() >= first + self.config.scheduler.population
        if following and all_drawn and epochs and all(at == following for at in epochs.values()):
            clones = self._decide(list(epochs), following)
            self.journal.note_generation(first, following, clones)
            self._apply(clones, epochs)
            following = None
        return [self._unfinished(number) for number, at in epochs.items() if at != following]

    def _decide(self, numbers: list[int], epoch: int) -> list[Clone]:
        """Who takes over whose checkpoint, and the settings it goes on with."""
        entries = {number: self.journal.entry(number) for number in numbers}
        ranked = sorted(numbers, key=lambda number: (-entries[number].dice[epoch], number))
        count = min(math.ceil(len(ranked) * self.config.scheduler.quantile), len(ranked) // 2)
        clones = []
        for number in sorted(ranked[len(ranked) - count :]):
            random = Random(f"{self.config.search.seed}/{number}/{epoch}")
            source = random.choice(ranked[:count])
            taken = entries[source].settings_after(epoch)
            changed = explore(self.space, self.config.scheduler, taken, random)
            clones.append(Clone(number, epoch, source, entries[number].dice[epoch], taken, changed))
        return clones

    def _apply(self, clones: list[Clone], epochs: dict[int, int]) -> list[int]:
        """Do what was decided and is not done yet; returns the trials that wait for the checkpoint of another."""
        due = [clone for clone in clones if clone.number in epochs]
        undone = [clone for clone in due if clone not in self.journal.entry(clone.number).clones]
        return [clone.number for clone in undone if not self._take_over(clone)]

    def _take_over(self, clone: Clone) -> bool:
        """Make the source's checkpoint, row and Dice of the epoch those of the trial; False while there is none."""
        trial, source = self.directory.trial(clone.number), self.directory.trial(clone.source)
        found = {line["epoch"]: line for line in source.checkpoints()}.get(clone.epoch)
        if found is None:
            return False
        original = self.directory.root / found["path"]
        copy = original.parent.parent / trial.path.name / f"checkpoint_of_{source.path.name}_{clone.epoch:06d}"
        own = [line["path"] for line in trial.checkpoints() if line["epoch"] == clone.epoch]
        partial = copy.with_name(f".{copy.name}")
        for left_by_a_kill in (partial, copy):
            remove_leftover(left_by_a_kill)
        shutil.copytree(original, partial)
        partial.rename(copy)
        line = index_line(str(copy.relative_to(self.directory.root)), verify_checkpoint(copy))
        append_line(trial.index, line | {"cloned_from": clone.source})
        for path in own:
            if self.directory.root / path != copy:
                remove_leftover(self.directory.root / path)
        append_line(trial.metrics, source.epochs()[clone.epoch] | {"cloned_from": clone.source})
        cases = [row for row in source.case_scores() if row["epoch"] == clone.epoch]
        rewrite_lines(trial.cases, [row for row in trial.case_scores() if row["epoch"] != clone.epoch] + cases)
        self.journal.report(clone.number, clone.epoch, self.journal.entry(clone.source).dice[clone.epoch])
        self.journal.note_clone(clone)
        self.listener.trial_cloned(clone)
        return True

    def _gave_up(self, number: int, epoch: int) -> bool:
        """End a trial that would go back behind what it took over, which may be pruned where it came from by now."""
        lost = next((clone for clone in self.journal.entry(number).clones if clone.epoch > epoch), None)
        if lost is None:
            return False
        self.journal.note_stop(number, "failed", "its checkpoints are damaged: nothing to go on with", "error")
        tell_end(self.journal, self.judge, number)
        self.listener.trial_ended(self.journal.entry(number))
        return True

    def _unfinished(self, number: int) -> Unfinished:
        """A trial as it goes on from its last checkpoint, which may be a copy."""
        entry, lines = self.journal.entry(number), self.directory.trial(number).checkpoints()
        epoch = lines[-1]["epoch"] if lines else 0
        start = self._start(entry, epoch) if lines and "cloned_from" in lines[-1] else None
        return Unfinished(number, entry.settings_after(epoch), lines, start)

    def _start(self, entry: TrialEntry, epoch: int) -> dict[str, float]:
        """What a trial that goes on from another's checkpoint has to change in what the checkpoint holds."""
        clone = next(clone for clone in entry.clones if clone.epoch == epoch)
        before, now = (self.config.with_overrides(s).training.lr for s in (clone.taken, clone.settings))
        best = max(dice for at, dice in entry.dice.items() if at <= epoch)
        return {"lr_factor": now / before, "best": best}


def _epoch(trial: Unfinished) -> int:
    return trial.checkpoints[-1]["epoch"] if trial.checkpoints else 0
