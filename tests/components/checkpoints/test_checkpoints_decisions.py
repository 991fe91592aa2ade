"""The log of decisions: what is written comes back, what a kill cuts short is left out, what is damaged is named."""

import json
import logging
import math
import resource
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.checkpoints import Decision, DecisionLog, SaveDecision, read_decisions
from components.errors import CheckpointDamagedError, CheckpointNotFoundError

numbers = st.floats() | st.integers(-(2**53), 2**53) | st.none()
decisions = st.builds(
    Decision,
    epoch=st.integers(0, 10**6),
    time=st.text(),
    save=st.booleans(),
    kind=st.text() | st.just("nan"),
    reason=st.text(),
    hold=st.booleans(),
    inputs=st.dictionaries(st.text(), numbers),
    metric=st.none() | st.floats(),
    epoch_seconds=st.floats(0, 1e9),
    seconds=st.floats(0, 1e9),
    persist_seconds=st.floats(0, 1e9),
    bytes=st.integers(0, 2**60),
    path=st.text(),
    cases=st.none() | st.dictionaries(st.text(), st.floats()),
)


def decision(epoch: int) -> Decision:
    said = SaveDecision(save=epoch % 2 == 0, kind="best", reason="gain", inputs={"tau": 10.0})
    return Decision.of(said, epoch=epoch, metric=0.1 * epoch, epoch_seconds=2.0)


def filled(path: Path, epochs: range) -> list[Decision]:
    log, made = DecisionLog(path), [decision(epoch) for epoch in epochs]
    for one in made:
        log.append(one)
    return made


@given(decisions)
def test_a_line_gives_the_decision_back(made: Decision) -> None:
    line = made.to_line()
    assert "\n" not in line
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert repr(Decision.from_line(line)) == repr(made)  # NaN is not equal to itself, but is written alike


def test_a_decision_says_when_it_was_made() -> None:
    said = SaveDecision(save=False, kind="best", reason="", hold=True)
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone(timedelta(hours=1)))
    assert Decision.of(said, epoch=1, time=at).time == "2026-01-02T03:04:05.678+01:00"
    now = datetime.fromisoformat(Decision.of(said, epoch=1).time)
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)
    assert Decision.of(said, epoch=1).hold


def test_the_log_is_read_in_order_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "new" / "decisions.jsonl"
    first = filled(path, range(1, 4))
    again = filled(path, range(4, 6))
    assert read_decisions(path) == first + again


def test_a_line_that_a_kill_cut_short_is_left_out_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    first = filled(path, range(1, 4))
    whole = path.read_bytes()
    second = whole[: whole.rfind(b"\n", 0, -1) + 1]
    for cut in range(len(second), len(whole)):  # at every byte of the last line
        path.write_bytes(whole[:cut])
        assert read_decisions(path) == first[:2]
        added = filled(path, range(7, 8))
        assert read_decisions(path) == [*first[:2], *added]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[1, 2]",
        b'{"epoch": 1, "time": "", "kind": ""}',
        b'{"epoch": "1", "time": "", "kind": "", "reason": "", "save": true}',
        b'{"epoch": 1, "time": "", "kind": "", "reason": "", "save": true, "seconds": "long"}',
        b"\xff",
    ],
)
def test_a_damaged_line_in_the_middle_is_named_and_left_out(
    tmp_path: Path, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "decisions.jsonl"
    filled(path, range(1, 4))
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    assert [decision.epoch for decision in read_decisions(path)] == [1, 3]
    assert f"{path}: 1 damaged line (2) left out" in caplog.text


def test_a_log_without_any_decision_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(b"{\n")
    with pytest.raises(CheckpointDamagedError, match="no decision can be read"):
        read_decisions(path)


def test_what_a_later_version_added_is_left_out() -> None:
    line = json.dumps({**json.loads(decision(1).to_line()), "colour": "green"})
    assert Decision.from_line(line).epoch == 1


def test_no_log_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match="no such log"):
        read_decisions(tmp_path / "decisions.jsonl")


def test_a_log_that_cannot_be_written_warns_once_and_goes_on_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "decisions.jsonl"
    path.mkdir()
    log = DecisionLog(path)
    with caplog.at_level(logging.WARNING):
        log.append(decision(1))
        log.append(decision(2))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "decisions are not logged" in caplog.text
    path.rmdir()
    log.append(decision(3))
    assert [one.epoch for one in read_decisions(path)] == [3]


def test_inputs_that_are_no_json_cost_the_line_and_not_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl")
    log.append(decision(1))
    with caplog.at_level(logging.WARNING):
        log.append(Decision(epoch=2, time="", save=False, kind="", reason="", inputs={"what": object()}))
    assert "not JSON serializable" in caplog.text
    log.append(decision(3))
    assert [one.epoch for one in read_decisions(log.path)] == [1, 3]


def test_half_a_line_on_a_full_disk_is_cut_before_the_next(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl")
    log.append(decision(1))
    size = log.path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))  # the file may grow by ten bytes
    try:
        with caplog.at_level(logging.WARNING):
            log.append(decision(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.path.stat().st_size == size + 10
    assert "File too large" in caplog.text
    log.append(decision(3))
    assert [one.epoch for one in read_decisions(log.path)] == [1, 3]


def test_nan_stays_a_number() -> None:
    made = Decision(epoch=1, time="", save=False, kind="inf", reason="", metric=math.nan, inputs={"gain": -math.inf})
    found = Decision.from_line(made.to_line())
    assert found.metric is not None
    assert math.isnan(found.metric)
    assert found.inputs["gain"] == -math.inf
    assert found.kind == "inf"
