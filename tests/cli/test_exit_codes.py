"""The exit codes of the design: 0 to 5, and 130."""

import sys
from pathlib import Path

import pytest
import yaml

from tests.commands import segtune
from tests.conftest import small_settings
from tuning import cli
from tuning.cli_study import exit_code
from tuning.record import TrialEntry
from tuning.study import StudyResult

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("states", "interrupted", "stopped", "code"),
    [
        (["complete", "pruned"], False, "", 0),
        (["complete", "running"], False, "stop.epochs: …", 0),
        (["running"], False, "stop.minutes: …", 0),
        (["complete", "failed"], False, "", 1),
        (["failed", "pruned", "running"], False, "stop.plateau: …", 1),
        (["failed", "failed"], False, "", 5),
        (["failed", "running"], False, "stop.same_failures: …", 5),
        (["failed", "running"], True, "", 130),
    ],
)
def test_a_run_returns_how_it_ended(states: list[str], interrupted: bool, stopped: str, code: int) -> None:  # noqa: FBT001
    trials = [TrialEntry(number, state, "", {}, {}) for number, state in enumerate(states)]
    assert exit_code(StudyResult(Path("study"), trials, interrupted, stopped)) == code


def test_a_machine_where_ray_does_not_start_is_an_environment_that_lacks_something(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(small_settings()))
    result = segtune("run", "study.yaml", cwd=tmp_path, RAY_TMPDIR="/proc/nowhere")
    assert result.returncode == 4, result.stderr
    assert "error: Ray does not start" in result.stderr


def test_an_error_of_our_own_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**options: object) -> None:
        del options
        raise ZeroDivisionError("our own")

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(sys, "argv", ["segtune"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 3
    assert (
        "ZeroDivisionError('our own')\nThis should not happen. Hint: run again with --debug" in capsys.readouterr().err
    )
