from pathlib import Path

import optuna
import pytest

from search_spaces import make_sampler
from tuning.record import Journal, append_line, cut_torn_tail, read_lines
from tuning.record.journal import free_journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.log", "toy")


def ask(journal: Journal) -> int:
    number = journal.next_number()
    trial = journal.ask(make_sampler("random", 0, number))
    trial.suggest_float("training.lr", 0, 1)
    journal.set_overrides(number, {"training.lr": 0.5})
    return number


def test_a_trial_is_told_its_best_dice_and_why_it_ended(journal: Journal) -> None:
    number = ask(journal)
    for epoch, dice in enumerate((0.2, 0.7, 0.4), start=1):
        journal.report(number, epoch, dice)
    journal.note_stop(number, "pruned", "asha at epoch 3")
    journal.finish(number)
    entry = journal.entry(number)
    assert (entry.state, entry.cause, entry.best, entry.dice) == (
        "pruned",
        "asha at epoch 3",
        (2, 0.7),
        {1: 0.2, 2: 0.7, 3: 0.4},
    )
    theirs = optuna.load_study(study_name="toy", storage=journal._storage).trials[0]
    assert (theirs.state, theirs.value) == (optuna.trial.TrialState.PRUNED, 0.7)


def test_of_equal_scores_the_later_epoch_is_the_best(journal: Journal) -> None:
    number = ask(journal)
    for epoch in (1, 2):
        journal.report(number, epoch, 0.5)
    assert journal.entry(number).best == (2, 0.5)


def test_an_epoch_that_is_trained_again_is_noted_again(journal: Journal) -> None:
    number = ask(journal)
    journal.report(number, 1, 0.5)
    journal.report(number, 1, 0.6)
    assert journal.entry(number).dice == {1: 0.6}


def test_baselines_count_down_and_the_sampler_does_not_see_them(journal: Journal) -> None:
    assert [journal.new_baseline(name, {"loss.weights": {name: 1.0}}) for name in ("ce", "dice")] == [-1, -2]
    assert ask(journal) == 0
    assert [(entry.number, entry.baseline) for entry in journal.trials()] == [(-1, "ce"), (-2, "dice"), (0, None)]
    assert len(optuna.load_study(study_name="toy", storage=journal._storage).trials) == 1


def test_a_failed_trial_has_no_value_but_keeps_its_epochs(journal: Journal) -> None:
    number = ask(journal)
    journal.report(number, 1, 0.5)
    journal.note_stop(number, "failed", "ValueError: no")
    journal.finish(number)
    assert journal.entry(number).state == "failed"
    assert optuna.load_study(study_name="toy", storage=journal._storage).trials[0].value is None


def test_a_journal_torn_at_any_byte_opens_with_all_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    whole = Journal(path, "toy")
    first = ask(whole)
    whole.report(first, 1, 0.5)
    before = path.stat().st_size
    whole.report(first, 2, 0.6)
    content = path.read_bytes()
    for length in range(before, len(content)):
        path.write_bytes(content[:length])
        cut = free_journal(path)
        again = Journal(path, "toy")
        assert len(cut) == length - before
        assert again.entry(first).dice == {1: 0.5}
        again.report(first, 2, 0.7)
        assert Journal(path, "toy").entry(first).dice == {1: 0.5, 2: 0.7}


def test_the_lock_of_a_killed_writer_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    Journal(path, "toy").new_baseline("ce", {})
    path.with_name("journal.log.lock").symlink_to(path)
    free_journal(path)
    journal = Journal(path, "toy")
    journal.new_baseline("dice", {})  # would wait 30 s
    assert journal.count_baselines() == 2


def test_lines_survive_a_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert (read_lines(path), cut_torn_tail(path)) == ([], b"")
    append_line(path, {"epoch": 1})
    with path.open("a") as stream:
        stream.write('{"epo')
    assert read_lines(path) == [{"epoch": 1}]
    assert cut_torn_tail(path) == b'{"epo'
    append_line(path, {"epoch": 2})
    assert read_lines(path) == [{"epoch": 1}, {"epoch": 2}]
