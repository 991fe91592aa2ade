"""A study's checkpoints: decided by `adaptive`, explained, repaired, pruned, kept within a budget."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import pytest

from components.checkpoints import lease_checkpoint, read_decisions, verify_checkpoint
from components.errors import CheckpointNotFoundError
from tests.conftest import small_settings
from tuning import Study, StudyConfig
from tuning.errors import StudyNotFoundError
from tuning.record import StudyDirectory, open_journal
from tuning.retention import GIB
from tuning.store import staging_prefix
from tuning.upkeep import checkpoint_folders, prune_study, repair_study, study_of

pytestmark = pytest.mark.usefixtures("ray_session")
ADAPTIVE = {"strategy": "adaptive", "max_checkpoints": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upkeep") / "study"
    settings = small_settings(
        checkpoint=ADAPTIVE, search={"trials": 2, "baselines": False}, scheduler={"grace": 2, "reduction": 2}
    )
    Study(StudyConfig.load(settings), folder).run()
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> StudyDirectory:
    shutil.copytree(finished, tmp_path / "copy")
    return StudyDirectory(tmp_path / "copy")


def sizes(study: StudyDirectory) -> dict[str, int]:
    numbers = [entry.number for entry in open_journal(study).trials()]
    return {line["path"]: line["bytes"] for number in numbers for line in study.trial(number).checkpoints()}


def test_every_epochs_decision_is_recorded_and_rungs_and_ends_are_saved(study: StudyDirectory) -> None:
    for entry in open_journal(study).trials():
        decisions = read_decisions(study.trial(entry.number).decisions)
        assert [decision.epoch for decision in decisions] == sorted(entry.dice)
        kinds = {decision.epoch: decision.kind for decision in decisions if decision.save}
        assert kinds[2] == "rung"
        assert kinds.get(4, "end") == "end"
        assert all(decision.metric == entry.dice[decision.epoch] for decision in decisions)
        assert decisions[-1].inputs["standard_error"] > 0
        assert decisions[-1].cases is not None


def test_nothing_that_was_staged_is_left(finished: Path) -> None:
    assert not list(finished.rglob("staging"))
    assert not list(Path(gettempdir()).glob(f"{staging_prefix(str(finished))}*"))
    assert {path.name[:11] for path in finished.glob("attempts/*/0*/*") if path.is_dir()} == {"checkpoint_"}


def test_a_trials_folder_leads_to_its_checkpoints(study: StudyDirectory, tmp_path: Path) -> None:
    assert study_of(study.root / "trials" / "0001") == study
    assert study_of(tmp_path) is None
    assert checkpoint_folders(study.root / "trials" / "0001") == [study.root / "attempts" / "01" / "0001"]
    assert checkpoint_folders(study.root) == [study.root]
    with pytest.raises(StudyNotFoundError, match="no checkpoints"):
        checkpoint_folders(study.root / "trials" / "0009")


def test_a_study_is_pruned_to_the_best_and_the_latest_of_each_trial(study: StudyDirectory) -> None:
    before = sizes(study)
    planned = prune_study(study, keep=1, max_gib=None, dry_run=True)
    assert sizes(study) == before
    done = prune_study(study, keep=1, max_gib=None)
    assert [change.path for change in done] == [change.path for change in planned]
    assert before.keys() - sizes(study).keys() == {str(change.path.relative_to(study.root)) for change in done}
    for entry in open_journal(study).trials():
        lines = study.trial(entry.number).checkpoints()
        best = max(entry.dice.values())
        assert {line["epoch"] for line in lines} == {
            max(entry.dice),
            max(epoch for epoch, dice in entry.dice.items() if dice == best),
        }


def test_a_budget_gives_up_the_worst_trials_first_and_keeps_the_best_of_the_study(study: StudyDirectory) -> None:
    entries = open_journal(study).trials()
    top = max(entries, key=lambda entry: entry.best[1] if entry.best else 0)
    best = study.trial(top.number).best_checkpoint()
    assert best is not None
    room = (best["bytes"] + 10) / GIB
    prune_study(study, keep=None, max_gib=room)
    assert list(sizes(study)) == [best["path"]]
    prune_study(study, keep=None, max_gib=1 / GIB)
    assert list(sizes(study)) == [best["path"]]


def test_what_is_being_read_is_not_pruned(study: StudyDirectory) -> None:
    going = prune_study(study, keep=None, max_gib=1 / GIB, dry_run=True)[0].path
    with lease_checkpoint(going):
        assert going not in {change.path for change in prune_study(study, keep=None, max_gib=1 / GIB)}
        assert verify_checkpoint(going)
    assert [change.path for change in prune_study(study, keep=None, max_gib=1 / GIB)] == [going]


def test_a_study_with_a_budget_runs_within_it(folder: Path, study_config: Callable[..., StudyConfig]) -> None:
    config = study_config(
        checkpoint={"strategy": "all", "max_gib": 1e-6},
        search={"trials": 2, "baselines": False},
        resources={"concurrent": 1},
    )
    Study(config, folder).run()
    study = StudyDirectory(folder)
    best = max(open_journal(study).trials(), key=lambda entry: entry.best[1] if entry.best else 0)
    kept = study.trial(best.number).best_checkpoint()
    assert kept is not None
    assert list(sizes(study)) == [kept["path"]]


def test_repair_sets_aside_what_is_damaged(study: StudyDirectory) -> None:
    victim = study.root / next(iter(sizes(study)))
    (victim / "model.safetensors").write_bytes(b"")
    assert [(change.path, change.bytes) for change in repair_study(study)] == [(victim, 0)]
    assert not victim.exists()
    assert (victim.parent / f".damaged-{victim.name}" / "manifest.json").exists()
    assert repair_study(study) == []


def test_a_study_without_checkpoints_says_so(study: StudyDirectory) -> None:
    shutil.rmtree(study.root / "attempts")
    with pytest.raises(CheckpointNotFoundError, match="no such directory"):
        repair_study(study)
