"""stop, resume and extend, as a user types them; what is printed is compared with golden files."""

import json
from pathlib import Path

import pytest
import yaml

from tests.commands import segtune, segtune_here
from tests.conftest import small_settings
from tests.faults import killing
from tests.golden import check_golden
from tuning.lock import study_lock
from tuning.record import StudyDirectory, open_journal

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def stopped(place: Path) -> tuple[Path, int, str]:
    """A study that `segtune stop` stopped, with the exit code of its run and what stop printed."""
    settings = small_settings(
        model={"arguments": {"seconds": 0.15}},  # 0.9 s an epoch: the stop comes before the fourth ends
        training={"precision": "fp32"},
        search={"trials": 2, "baselines": False, "sampler": "random"},
        scheduler={"type": "none"},
        resources={"concurrent": 1},
    )
    (place / "study.yaml").write_text(yaml.safe_dump(settings))
    study = place / "study"
    process = killing.start(place / "study.yaml", study)
    killing.wait_for_epochs(process, study, 1)
    said = segtune_here("stop", str(study), cwd=place).stdout  # at once; a process of its own may start too late
    process.communicate(timeout=60)
    (place / "study.yaml").unlink()
    return study, process.returncode, said


def test_stop_ends_a_run_cleanly_and_says_how_to_go_on(stopped: tuple[Path, int, str]) -> None:
    study, code, said = stopped
    assert code == 130
    assert said == f"stopped; go on with: segtune resume {study}\n"
    directory = StudyDirectory(study)
    assert directory.attempts()[-1]["how"] == "interrupted"
    assert not directory.owner.exists()
    assert segtune_here("stop", str(study), cwd=study).stdout == f"{study}: no process runs the study\n"


def test_resume_needs_no_study_file_and_extend_adds_trials(stopped: tuple[Path, int, str], place: Path) -> None:
    study = stopped[0]
    resumed = segtune("resume", str(study), "-s", "resources.retries=1", cwd=place)
    assert resumed.returncode == 0, resumed.stderr
    check_golden("resume_err", resumed.stderr, study=study)
    check_golden("resume_out", resumed.stdout, study=study)
    entries = open_journal(StudyDirectory(study)).trials()
    assert [(entry.state, list(entry.dice)) for entry in entries] == [("complete", [1, 2, 3, 4])] * 2

    extended = segtune_here("extend", str(study), "--trials", "+1", cwd=place)
    assert extended.returncode == 0, extended.stderr
    check_golden("extend_err", extended.stderr, study=study)
    after = open_journal(StudyDirectory(study)).trials()
    assert (after[:2], len(after)) == (entries, 3)
    start = [event for event in StudyDirectory(study).attempts() if event["event"] == "start"][-1]
    assert start["changed"] == {"resources.retries": 1, "search.trials": 3}
    check_golden("status", segtune_here("status", str(study), "--watch", cwd=place).stdout, study=study)

    facts = json.loads(segtune_here("status", str(study), "--format", "json", cwd=place).stdout)
    assert facts.items() >= {"running": False, "attempts": 3, "complete": 3, "unfinished": 0}.items()
    assert facts["best_dice"] == max(entry.best[1] for entry in after if entry.best)

    again = segtune_here("resume", str(study), cwd=place)
    assert "now       3 kept, 0 continued, 0 new" in again.stderr


@pytest.mark.parametrize(("trials", "message"), [("1", "trials already"), ("0", "expected +20"), ("many", "expected")])
def test_extend_refuses_what_adds_nothing(stopped: tuple[Path, int, str], trials: str, message: str) -> None:
    result = segtune_here("extend", str(stopped[0]), "--trials", trials, cwd=stopped[0])
    assert result.returncode == 2
    assert message in result.stderr


def test_stop_on_another_host_is_refused(place: Path) -> None:
    study = StudyDirectory(place / "elsewhere")
    with study_lock(study):
        study.create({"settings": {}, "data": {}})
        study.owner.write_text('{"pid": 1, "host": "elsewhere", "since": "2026-01-01T00:00:00+00:00"}')
        result = segtune_here("stop", str(study.root), cwd=place)
    assert result.returncode == 2
    assert "is run by process 1 on elsewhere since 2026-01-01" in result.stderr


@pytest.mark.parametrize("command", [("resume",), ("extend", "--trials", "+1"), ("stop",), ("status", "--watch")])
def test_where_no_study_is_one_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = segtune_here(*command, "nowhere", cwd=tmp_path)
    assert result.returncode == 2
    assert "nowhere: no study here" in result.stderr
