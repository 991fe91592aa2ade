from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from search_spaces import make_sampler
from tuning.errors import JournalDamagedError
from tuning.record import Journal, StudyDirectory, append_line, cut_torn_tail, read_lines
from tuning.record.journal import open_journal_exclusively
from tuning.record.journal_file import free_journal


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


def spoilt(tmp_path: Path, change: Callable[[list[str]], None]) -> Path:
    path = tmp_path / "journal.log"
    journal = Journal(path, "study")
    for number in range(3):
        journal.ask(make_sampler("random", 0, number))
        journal.report(number, 1, 0.5)
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: lines.insert(3, "hello"), r"journal\.log:4: no entry of a journal: 'hello'\. Hint: remove"),
        (lambda lines: lines.insert(3, '{"epoch": 3}'), r"journal\.log:4: no entry of a journal: '{\"epoch\": 3}'"),
        (lambda lines: lines.__setitem__(4, lines[4][:25]), r"journal\.log:5: an entry is cut short: '{\"op_code\""),
        (lambda lines: lines.insert(3, '{"op_code": 99}'), r"journal\.log: its entries contradict each other"),
    ],
)
def test_a_journal_that_cannot_be_read_names_the_line_and_stays_as_it_is(
    tmp_path: Path, change: Callable[[list[str]], None], found: str
) -> None:
    path = spoilt(tmp_path, change)
    before = path.read_bytes()
    with pytest.raises(JournalDamagedError, match=found):
        Journal(path, "study").trials()
    assert path.read_bytes() == before


def test_a_journal_that_lacks_trials_of_the_record_is_refused(tmp_path: Path) -> None:
    study = StudyDirectory(tmp_path / "study")
    study.create({"settings": {"name": "study", "training": {"epochs": 3}, "data": {}, "search": {}}, "data": {}})
    for number in range(5):
        study.trial(number).path.mkdir(parents=True)
    Journal(study.journal, "study").ask(make_sampler("random", 0, 0))
    with pytest.raises(JournalDamagedError, match=r"knows nothing of 0001, 0002, 0003, …, which stand in trials/"):
        open_journal_exclusively(study)


def test_a_damaged_last_line_is_named_before_anything_is_written_behind_it(journal: Journal, tmp_path: Path) -> None:
    ask(journal)
    path = tmp_path / "journal.log"
    spoiled = path.read_bytes()[:-2] + b"\x00\n"
    path.write_bytes(spoiled)
    Journal(path, "toy").trials()  # to be read it is good enough
    with pytest.raises(JournalDamagedError, match=r"journal\.log:\d+: "):
        free_journal(path)
    assert path.read_bytes() == spoiled
