"""Each line and value of a study's record damaged in turn: a report is still written, and says what is wrong."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from reports import StudyTables, write_report
from reports.files import write_tables
from reports.report import study_sentences
from tests.report_studies import StudyWriter, write_finalists

_FILES = (
    "journal.log",
    "attempts.jsonl",
    "trials/0000/metrics.jsonl",
    "trials/0000/cases.jsonl",
    "trials/0000/checkpoints.jsonl",
    "trials/0000/decisions.jsonl",
    "finalists/journal.log",
    "finalists/trials/b01/metrics.jsonl",
    "finalists/trials/b01/test.jsonl",
    "finalists/study.yaml",
)
_WRONG: tuple[Any, ...] = ([1, "x"], {"a": None}, "many", 10**400)
_READ = {
    *("op_code", "trial_id", "study_id", "step", "intermediate_value", "user_attr", "state", "study_name", "overrides"),
    *(
        "stop",
        "baseline",
        "epoch",
        "val_dice",
        "train_loss",
        "seconds",
        "lr",
        "loss_dice",
        "weight_dice",
        "dice",
        "iou",
    ),
    *("gradient_share_dice", "case", "group", "class", "bytes", "path", "epoch_seconds"),
}
_TIMES = 8  # of each file


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("damage") / "study"
    study = StudyWriter(root, epochs=2)
    cases = {f"case_{number}": 0.5 + number / 50 for number in range(3)}
    study.add([0.4, 0.6], baseline="dice", cases=cases)
    study.add([0.5, 0.7], cases=cases, params={"training.lr": 0.1})
    study.add([0.4], state="pruned", cause="stopped at rung 1")
    study.add([], state="failed", cause="out of memory", log="line\n")
    study.write()
    lines = [{"attempt": 1, "event": "start", "time": "now", "host": "here", "versions": {}, "changed": {}}]
    study.directory.attempts_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_finalists(root, seeds=range(1001, 1006))
    return root


def spoil(value: Any, random: random.Random, names: list[str]) -> Any:
    """The value with one of its parts replaced by something of another type; its names are added to `names`."""
    if isinstance(value, dict) and value:
        name = random.choice(list(value))
        names.append(name)
        return {**value, name: spoil(value[name], random, names)}
    return random.choice([wrong for wrong in _WRONG if not isinstance(wrong, type(value))])


def damage(path: Path, random: random.Random) -> list[str]:
    """Damage a line; returns the names of what was damaged, none for the whole line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    at, names = random.randrange(len(lines)), list[str]()
    whole = random.random() < 0.2
    lines[at] = "rubbish {" if whole else json.dumps(spoil(json.loads(lines[at]), random, names))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return names


def read_all(root: Path, *, again: bool) -> tuple[list[str], list[str]]:
    """A study's sentences and what its report would call missing; no page is drawn.

    Every table is written, and of the finalists too where `again`.
    """
    study = StudyTables(root)
    sentences, problems = study_sentences(study), list[str]()
    write_tables(study, problems=problems)
    if again and study.finalists is not None:
        write_tables(study.finalists, problems=problems)
    assert isinstance(study.attempts, list)
    return sentences, [*problems, *study.problems]


def test_what_is_whole_is_not_called_damaged(whole: Path) -> None:
    page = write_report(whole).read_text(encoding="utf-8")
    assert "What is missing" not in page
    assert "trial 0 beats baseline dice: +0.0" in page
    assert read_all(whole, again=True)[1] == []


@pytest.mark.parametrize("name", _FILES)
def test_damage_is_named_and_costs_neither_tables_nor_sentences(whole: Path, tmp_path: Path, name: str) -> None:
    for seed in range(_TIMES):
        root = tmp_path / str(seed) / "study"
        shutil.copytree(whole, root)
        done = damage(root / name, random.Random(seed))
        sentences, missing = read_all(root, again=name.startswith("finalists"))
        assert len(sentences) == 3, done
        shown = len((root / "report" / "trials.csv").read_text(encoding="utf-8").splitlines()) - 1
        assert shown == 4 or (name == "journal.log" and shown >= 1), done
        if not done or (done[-1] in _READ and name.endswith((".jsonl", ".log"))):
            assert missing, done


@pytest.mark.parametrize("seed", range(_TIMES))
def test_no_damage_costs_the_page(whole: Path, tmp_path: Path, seed: int) -> None:
    """All files are damaged at once, since to draw a page takes most of the time."""
    root = tmp_path / "study"
    shutil.copytree(whole, root)
    done = {name: damage(root / name, random.Random(f"{seed} {name}")) for name in _FILES}
    page = write_report(root).read_text(encoding="utf-8")
    assert "Leaderboard" in page, done
    assert "What is missing" in page, done
    assert "cannot be summed up" not in page, done
