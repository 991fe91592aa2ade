"""The one reader of JSON lines, and its one rule for damage."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.checkpoints import read_decisions
from components.json_lines import append_line, mend_lines, read_lines, rewrite_lines
from components.training.history import TrainingHistory
from reports import StudyTables
from tests.report_studies import StudyWriter
from tuning.record import StudyDirectory

_DAMAGED = [b"{torn\n", b'"text"\n', b"[1]\n", b"\0\0\n", b"\xff\xfe{}\n", b'{"epoch": "x"}\n', b'{"no": 1}\n']


def has_epoch(row: dict[str, Any]) -> bool:
    return type(row.get("epoch")) is int


@given(st.lists(st.one_of(st.integers(0, 9), st.sampled_from(_DAMAGED)), max_size=12), st.booleans())
def test_every_whole_row_is_read_all_damage_is_named_and_mending_keeps_both(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[Any],
    torn: bool,  # noqa: FBT001
) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    lines = [part if isinstance(part, bytes) else json.dumps({"epoch": part}).encode() + b"\n" for part in parts]
    path.write_bytes(b"".join(lines) + b'{"epoch": 3, "va' * torn)
    rows = [{"epoch": part} for part in parts if not isinstance(part, bytes)]
    bad = [part for part in parts if isinstance(part, bytes)]
    problems: list[str] = []
    assert read_lines(path, problems, is_whole=has_epoch) == rows
    assert len(problems) == bool(bad)
    assert mend_lines(path, is_whole=has_epoch) == len(bad)
    append_line(path, {"epoch": 77})
    assert read_lines(path, problems := [], is_whole=has_epoch) == [*rows, {"epoch": 77}]
    assert problems == []
    aside = path.with_name(".damaged-rows.jsonl")
    assert (aside.read_bytes() if aside.exists() else b"") == b"".join(bad)


def test_numbers_that_json_has_not_and_halves_of_characters_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": NaN, "big": 1' + "0" * 40 + '}\n{"case": "caf\\udce9"}\n')
    first, second = read_lines(path)
    assert first["a"] != first["a"]
    assert first["big"] == 10**40
    assert second == {"case": r"caf\xe9"}


def test_a_rewritten_file_loses_no_damaged_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"epoch": 1}\n{torn\n{"epoch": 2}\n')
    rewrite_lines(path, [{"epoch": 1}])
    assert path.read_text() == '{"epoch": 1}\n'
    assert (tmp_path / ".damaged-rows.jsonl").read_text() == "{torn\n"


def test_every_reader_survives_and_names_a_damaged_middle_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = StudyWriter(tmp_path / "study", epochs=3)
    study.add([0.4, 0.5, 0.6], cases={"case_0": 0.5})
    root = study.write()
    folder = root / "trials" / "0000"
    for name in ("metrics", "cases", "checkpoints", "decisions"):
        path = folder / f"{name}.jsonl"
        first, *rest = path.read_text().splitlines(keepends=True)
        path.write_text(first + "{torn in the middle\n" + "".join(rest))
    caplog.set_level(logging.WARNING)
    trial = StudyDirectory(root).trial(0)
    assert sorted(trial.epochs()) == [1, 2, 3]
    assert len(trial.case_scores()) == 1
    assert trial.checkpoints() == []  # none is there
    assert [decision.epoch for decision in read_decisions(folder / "decisions.jsonl")] == [1, 2, 3]
    tables = StudyTables(root)
    assert tables.epochs["epoch"].tolist() == [1, 2, 3]
    history = TrainingHistory(folder / "metrics.jsonl")
    assert [row["epoch"] for row in history.rows] == [1, 2, 3]
    said = caplog.text + "".join(tables.problems)
    for name in ("metrics", "cases", "checkpoints", "decisions"):
        assert f"{folder / name}.jsonl: 1 damaged line (2) left out" in said
    assert "set aside in .damaged-metrics.jsonl" in said
    assert (folder / ".damaged-metrics.jsonl").read_text() == "{torn in the middle\n"
