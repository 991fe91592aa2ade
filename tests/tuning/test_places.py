"""What a study's records and links may lead to: nothing outside the study is opened, moved or removed."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from components.json_lines import replace_text
from tests.commands import segtune_here
from tests.report_studies import StudyWriter, checkpoint_path
from tuning import Study, StudyConfig
from tuning.errors import UnsafePathError
from tuning.record import (
    StudyDirectory,
    checkpoint_folders,
    checkpoint_in,
    file_in,
    folder_in,
    open_journal,
    read_index,
)
from tuning.retention import remove_checkpoint, remove_leftover

pytestmark = pytest.mark.usefixtures("ray_session")
GOOD = "attempts/01/0000/checkpoint_000001"
STRANGE = (
    "../../victim",
    "../victim",
    "attempts/01/0000/../../../../victim",
    "attempts/01/0000/checkpoint_000001/../../../../victim",
    "/etc",
    "~",
    ".",
    "",
    "trials/0000",
    "attempts",
    "attempts/01/0001/checkpoint_000001",  # of another trial
    "attempts/01/0000/checkpoint_000001/",
    "attempts/01/0000/checkpoint_000001\n",
    "attempts\\01\\0000\\checkpoint_000001",
    "attempts/01/0000/checkpoint_\0",
    "a" * 100_000,
    None,
    7,
    True,
    ["attempts"],
    {"path": GOOD},
)


def tree(root: Path) -> dict[str, str]:
    """Every file, folder and link below a folder, with its content."""
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(root.rglob("*"))
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """A study of two trials that keep a checkpoint of each epoch."""
    del ray_session
    root = tmp_path_factory.mktemp("places") / "study"
    settings = {
        "name": "small",
        "data": {"build": "tests.toys:tiny_data"},
        "model": {"build": "tests.toys:network"},
        "training": {"epochs": 3, "batch": 2, "lr": 0.03},
        "search": {"trials": 2, "startup_trials": 2, "baselines": False, "space": {"presets": ["loss_weights"]}},
        "scheduler": {"type": "none"},
        "checkpoint": {"strategy": "all"},
        "resources": {"concurrent": 1},
    }
    Study(StudyConfig.load(settings), root).run()
    return root


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> StudyDirectory:
    """A copy of it, beside a folder that is not its own."""
    shutil.copytree(finished, tmp_path / "studies" / "study")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis.txt").write_text("years of work")
    checkpoint = next((finished / "attempts").glob("*/0000/checkpoint_*"))
    shutil.copytree(checkpoint, tmp_path / "studies" / "victim")  # even a checkpoint, where it is not the study's
    return StudyDirectory(tmp_path / "studies" / "study")


def add_lines(study: StudyDirectory, paths: tuple[object, ...]) -> None:
    """Lines in the index of trial 0, each with a Dice below all others, so that pruning would give them up."""
    with (study.root / "trials" / "0000" / "checkpoints.jsonl").open("a") as stream:
        for number, path in enumerate(paths):
            facts = {"path": path, "epoch": 100 + number, "dice": -1.0, "sha256": "", "bytes": 1 << 40}
            stream.write(json.dumps(facts) + "\n")
        stream.write(json.dumps({"path": GOOD, "epoch": 999, "dice": 2.0, "bytes": 0}) + "\n")


@pytest.mark.parametrize("path", STRANGE, ids=lambda path: repr(path)[:40])
def test_only_a_checkpoint_of_the_trial_itself_may_be_named(path: object, tmp_path: Path) -> None:
    with pytest.raises(UnsafePathError, match="is not the place of a checkpoint of 0000"):
        checkpoint_in(tmp_path, "0000", path)
    assert checkpoint_in(tmp_path, "0000", GOOD) == tmp_path / GOOD


def test_a_part_of_an_attempt_and_a_checkpoint_of_another_trial_taken_over_may_be_named(tmp_path: Path) -> None:
    for trial, path in (
        ("b01", "attempts/12-3/b01/checkpoint_000004"),
        ("0007", "attempts/01/0007/checkpoint_of_0003_000004"),
    ):
        assert checkpoint_in(tmp_path, trial, path) == tmp_path / path


def test_pruning_refuses_and_names_what_leads_elsewhere(study: StudyDirectory, tmp_path: Path) -> None:
    add_lines(study, STRANGE)
    outside = {name: tree(tmp_path / name) for name in ("victim", "studies/victim")}
    result = segtune_here("checkpoints", "prune", str(study.root), "--keep", "1", "--max-gib", "0.0001")
    assert result.returncode == 1
    assert result.stderr.count("refused: ") == len(STRANGE)
    assert "'../../victim' is not the place of a checkpoint of 0000 in this study" in result.stderr
    assert "checkpoint_000000: removed" in result.stdout  # the trial's own
    assert {name: tree(tmp_path / name) for name in outside} == outside
    assert (study.root / "trials" / "0001").is_dir()


def test_going_on_leaves_alone_what_the_index_must_not_name(study: StudyDirectory, tmp_path: Path) -> None:
    add_lines(study, STRANGE)
    outside = {name: tree(tmp_path / name) for name in ("victim", "studies/victim")}
    Study.open(study.root).extend(1)
    assert [entry.state for entry in open_journal(study).trials()] == ["complete"] * 3
    assert {name: tree(tmp_path / name) for name in outside} == outside


@pytest.mark.parametrize("link", ["attempts", "attempts/01", "attempts/01/0000", "attempts/01/0000/checkpoint_000000"])
def test_a_link_out_of_the_study_is_refused_before_anything_changes(
    study: StudyDirectory, tmp_path: Path, link: str
) -> None:
    away = tmp_path / "away"
    shutil.move(study.root / link, away)
    (study.root / link).symlink_to(away)
    before = tree(tmp_path)
    for keep in ("--keep", "--max-gib"):
        result = segtune_here("checkpoints", "prune", str(study.root), keep, "1")
        assert result.returncode in (1, 2), result.stderr
        assert "leads out of the study" in result.stderr
    with pytest.raises(UnsafePathError, match="leads out of the study"):
        checkpoint_folders(study.root, "0000")
    with pytest.raises(UnsafePathError, match="leads out of the study"):
        Study.open(study.root).extend(1)
    assert tree(away) == {
        name.removeprefix("away/"): content for name, content in before.items() if name.startswith("away/")
    }


def test_a_study_may_lie_behind_a_link(study: StudyDirectory, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(study.root)
    assert len(StudyDirectory(link).trial(0).checkpoints()) == 3
    inside = study.root / "trials" / "0000" / "log.txt"
    inside.rename(study.root / "kept.txt")
    inside.symlink_to("../../kept.txt")
    assert study.trial(0).log_tail()


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(UnsafePathError, match="is no plain file"):
            file_in(tmp_path, tmp_path / name)
    with pytest.raises(UnsafePathError, match="is no folder"):
        folder_in(tmp_path, tmp_path / "pipe")
    assert file_in(tmp_path, tmp_path / "folder" / "missing" / "file") == tmp_path / "folder" / "missing" / "file"


def test_only_what_verifies_as_the_checkpoint_of_its_line_is_removed(study: StudyDirectory) -> None:
    trial = study.trial(0)
    first, second, third = trial.checkpoints()
    assert not remove_checkpoint(study.root, first | {"sha256": second["sha256"]})
    (study.root / second["path"] / "manifest.json").write_text("{}")
    assert not remove_checkpoint(study.root, second)
    (study.root / third["path"] / "notes.txt").write_text("of the user")
    assert not remove_checkpoint(study.root, third)
    assert (study.root / third["path"] / "notes.txt").exists()
    assert {line["epoch"] for line in trial.checkpoints()} == {1, 2, 3}
    assert remove_checkpoint(study.root, first)
    assert {line["epoch"] for line in trial.checkpoints()} == {2, 3}


def test_a_half_written_checkpoint_is_cleared_and_a_folder_of_the_user_is_not(tmp_path: Path) -> None:
    half, own = tmp_path / "checkpoint_000001", tmp_path / "checkpoint_000002"
    for folder, name in ((half, "model.safetensors"), (own, "thesis.txt")):
        folder.mkdir()
        (folder / name).write_text("")
        remove_leftover(folder)
    assert not half.exists()
    assert own.exists()


def test_lines_that_lack_what_a_checkpoint_has_are_refused(tmp_path: Path) -> None:
    study = StudyWriter(tmp_path / "study")
    study.add([0.5])
    study.write()
    trial, path = study.directory.trial(0), checkpoint_path(0, 2)
    with trial.index.open("a") as stream:
        stream.writelines(
            json.dumps(line) + "\n" for line in ({"path": path}, {"path": path, "epoch": "2", "dice": 1, "bytes": 1})
        )
    lines, refused = read_index(trial)
    assert [line["epoch"] for line in lines] == [1]
    assert ["has no epoch and no dice and no bytes" in refused[0], "has no epoch;" in refused[1]] == [True, True]


def test_a_damaged_checkpoint_is_set_aside_beside_an_earlier_one(study: StudyDirectory) -> None:
    for _ in range(2):
        victim = study.root / study.trial(0).checkpoints()[0]["path"]
        kept = victim.with_name("copy")
        shutil.copytree(victim, kept)
        (victim / "model.safetensors").write_bytes(b"")
        assert segtune_here("checkpoints", "repair", str(study.root)).returncode == 0
        kept.rename(victim)
    names = {path.name for path in victim.parent.iterdir()}
    assert {f".damaged-{victim.name}", f".damaged-{victim.name}-2"} <= names


def test_writing_a_file_anew_follows_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("years of work")
    for name in (".file.tmp", "file"):
        (tmp_path / name).symlink_to(victim)
    replace_text(tmp_path / "file", "new")
    assert victim.read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "new"
