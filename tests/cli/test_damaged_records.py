"""Every file of a study damaged in many ways, and every command that reads: none crashes or changes what it reads.

The sample stands in `make test`, the full count in `make faults`.
"""

import hashlib
import json
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from torch import nn

from components.checkpoints import TrainingState, write_checkpoint
from components.errors import ComponentError
from search_spaces import SpaceError
from tests.commands import segtune_here
from tests.report_studies import StudyWriter, write_finalists
from tuning.attempts import note_killed
from tuning.config import SchedulerConfig, SearchConfig
from tuning.errors import StudyError
from tuning.outcome import Judge
from tuning.record import StudyDirectory
from tuning.record.journal import open_journal_exclusively
from tuning.recorded import recorded_settings
from tuning.recovery import recover
from tuning.scheduler import StudyScheduler

_SAMPLED, _EDITS = 40, 2000
_COMMANDS_EACH = 2  # drawn anew for each edit
_RARE = 50  # edits for each report with its page, which takes as long as all else together
_WRONG = [
    None,
    [],
    {},
    "x",
    -1,
    1e308,
    10**40,
    0.5,
    True,
    [1, "x"],
    {"a": None},
    "\x1b[2J",
    "=1+1",
    "../../outside",
    "",
]
_TRIAL = "trials/0000"
_COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status", "study"),
    "status json": ("status", "study", "--format", "json"),
    "table": ("report", "study", "--format", "table"),
    "csv": ("report", "study", "--format", "csv"),
    "json": ("report", "study", "--format", "json"),
    "markdown": ("report", "study", "--format", "markdown", "--no-images"),
    "latex": ("report", "study", "--format", "latex"),
    "cases": ("report", "study", "--table", "cases", "--format", "csv"),
    "list": ("checkpoints", "list", "study"),
    "verify": ("checkpoints", "verify", "study"),
    "explain": ("checkpoints", "explain", f"study/{_TRIAL}"),
}
_SLOW = {"html": ("report", "study", "--no-images"), "parquet": ("report", "study", "--format", "parquet")}
Edit = Callable[[Path, random.Random], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with everything in it: checkpoints, attempts, finalists, a failed and an unfinished trial."""
    root = tmp_path_factory.mktemp("whole") / "study"
    study = StudyWriter(root, epochs=2)
    cases = {f"case_{number}": 0.5 + number / 50 for number in range(3)}
    study.add([0.4, 0.6], baseline="dice", cases=cases)
    study.add([0.5, 0.7], cases=cases, params={"training.lr": 0.1})
    study.add([0.4], state="pruned", cause="stopped at rung 1")
    study.add([], state="failed", cause="out of memory", log="line\n")
    study.add([0.3], state="running", cases=cases)
    study.write()
    for name, epoch in (("0000", 2), ("0003", 1)):
        folder = root / "attempts" / "01" / name / f"checkpoint_{epoch:06d}"
        record = write_checkpoint(
            folder, TrainingState(nn.Linear(1, 1)), epoch=epoch, metrics={"epoch": epoch, "val_dice": 0.3}, kind="best"
        )
        line = {"path": str(folder.relative_to(root)), "epoch": epoch, "dice": 0.3, "bytes": record.bytes}
        (root / "trials" / name / "checkpoints.jsonl").write_text(json.dumps(line) + "\n")
        (root / "trials" / name / "params.json").write_text('{"training.lr": 0.1}\n')
    when = "2026-01-02T03:04:05+00:00"
    start = {"attempt": 1, "event": "start", "time": when, "host": "here", "versions": {}, "changed": {}, "code": {}}
    end = {"attempt": 1, "event": "end", "time": when, "how": "finished", "seconds": 3.5}
    study.directory.attempts_file.write_text("".join(json.dumps(line) + "\n" for line in (start, end, start)))
    owner = {"pid": 2**22 + 1, "host": socket.gethostname(), "since": when}
    study.directory.owner.write_text(json.dumps(owner) + "\n")
    write_finalists(root)
    return root


def cut(path: Path, random: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: random.randrange(len(content) + 1)])


def flip(path: Path, random: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 1, 5]) if content else 0):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def put_bytes(path: Path, random: random.Random) -> None:
    content, odd = path.read_bytes(), random.choice([b"\0", b"\xff\xfe", b"\xed\xb3\xa9", b"\x1b[2J", b"\r", b"\n\n"])
    at = random.randrange(len(content) + 1)
    path.write_bytes(content[:at] + odd + content[at:])


def drop_line(path: Path, random: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        del lines[random.randrange(len(lines))]
    path.write_bytes(b"".join(lines))


def double_line(path: Path, random: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        lines.insert(random.randrange(len(lines)), random.choice(lines))
    path.write_bytes(b"".join(lines))


def spoil(path: Path, random: random.Random) -> None:
    """Another type for one value of a line, or of the whole where the file is one object."""
    text = path.read_bytes().decode(errors="replace")
    lines = text.splitlines() if path.suffix in (".jsonl", ".log") else [text]
    at = random.randrange(len(lines)) if lines else 0
    try:
        value = json.loads(lines[at])
    except (ValueError, IndexError):
        return cut(path, random)
    lines[at] = json.dumps(_spoiled(value, random))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return None


def _spoiled(value: object, random: random.Random) -> object:
    if isinstance(value, dict) and value and random.random() < 0.85:
        name = random.choice(list(value))
        if random.random() < 0.2:
            return {key: part for key, part in value.items() if key != name}
        return {**value, name: _spoiled(value[name], random)}
    return random.choice(_WRONG)


def remove(path: Path, random: random.Random) -> None:
    del random
    path.unlink()


def put_a_folder(path: Path, random: random.Random) -> None:
    del random
    path.unlink()
    path.mkdir()


def empty(path: Path, random: random.Random) -> None:
    del random
    path.write_bytes(b"")


EDITS: tuple[Edit, ...] = (
    cut,
    flip,
    put_bytes,
    drop_line,
    double_line,
    spoil,
    spoil,
    spoil,
    remove,
    put_a_folder,
    empty,
)


def recover_here(root: Path) -> None:
    """What a resume reads and mends before it starts Ray."""
    directory = StudyDirectory(root)
    try:
        recorded_settings(directory)
        note_killed(directory)
        journal = open_journal_exclusively(directory)
        judge = Judge(directory, SearchConfig())
        recover(directory, journal, StudyScheduler(SchedulerConfig(grace=1), 2), judge, keep=1)
    except (StudyError, ComponentError, SpaceError, OSError):
        pass  # each of these has an exit code of its own, and says what is wrong


def prints(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def fuzz(whole: Path, place: Path, count: int, seed: int) -> None:
    draw = random.Random(seed)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    (place / "outside").mkdir(parents=True)
    (place / "outside" / "kept.txt").write_text("kept")
    root = place / "study"
    for number in range(count):
        shutil.copytree(whole, root)
        for _ in range(draw.choice([1, 1, 1, 3])):
            name, edit = draw.choice(files), draw.choice(EDITS)
            if (root / name).is_file():
                edit(root / name, draw)
        before = prints(root)
        commands = {what: _COMMANDS[what] for what in draw.sample(list(_COMMANDS), _COMMANDS_EACH)}
        commands |= _SLOW if number % _RARE == _RARE - 1 else {}
        for what, arguments in commands.items():
            said = segtune_here(*arguments, cwd=place)
            told = f"{number}: {edit.__name__} {name}, {what}: {said.stderr}"
            assert said.returncode in (0, 1, 2, 4), told
            assert "Traceback" not in said.stderr, told
            assert "\x1b" not in said.stdout + said.stderr, told
        after = {path: digest for path, digest in prints(root).items() if not path.startswith("report/")}
        after.pop("study.lock", None)
        assert after == {path: digest for path, digest in before.items() if path != "study.lock"}, (name, edit)
        recover_here(root)
        assert [path.name for path in place.iterdir()] in (["outside", "study"], ["study", "outside"])
        assert prints(place / "outside") == prints_of_kept()
        shutil.rmtree(root)


def prints_of_kept() -> dict[str, str]:
    return {"kept.txt": hashlib.sha256(b"kept").hexdigest()}


def test_no_command_falls_over_a_damaged_record(whole: Path, tmp_path: Path) -> None:
    assert yaml.safe_load((whole / "study.yaml").read_text())["format"] == 1
    fuzz(whole, tmp_path / "fuzz", _SAMPLED, seed=1)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(4))
def test_no_command_falls_over_any_of_two_thousand_damaged_records(whole: Path, tmp_path: Path, part: int) -> None:
    fuzz(whole, tmp_path / "fuzz", _EDITS // 4, seed=100 + part)
