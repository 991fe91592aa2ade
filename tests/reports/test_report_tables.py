"""Tables say what stands in the files, quickly, and go on past what is damaged."""

import gc
import json
import math
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from components.errors import InvalidInputError
from reports import (
    StudyTables,
    cases_table,
    checkpoints_table,
    compare,
    epochs_table,
    failures_table,
    load_trials,
    table_text,
    terms_table,
    write_table,
)
from reports.reading import collector_paused
from tests.report_studies import StudyWriter, checkpoint_path
from tuning.record import append_line, open_journal


@pytest.fixture
def written(tmp_path: Path) -> Path:
    study = StudyWriter(tmp_path / "one", epochs=3)
    study.add([0.5, 0.6, 0.7], baseline="dice", weights={"dice": 1.0}, cases={"a": 0.6, "b": 0.8})
    study.add([0.6, 0.8, 0.7], cases={"a": 0.7, "b": 0.9})
    study.add([0.1], state="pruned", cause="stopped at rung 1")
    study.add([], state="failed", cause="NaN", log="one\ntwo\n")
    study.add([0.3], state="running")
    return study.write()


def test_the_quick_journal_is_optunas(written: Path) -> None:
    tables = StudyTables(written)
    assert tables.entries == open_journal(tables.directory).trials()
    assert [entry.number for entry in tables.entries] == [-1, 0, 1, 2, 3]
    assert tables.problems == []


def test_trials_of_several_studies_stand_in_one_table(written: Path, tmp_path: Path) -> None:
    other = StudyWriter(tmp_path / "two")
    other.add([0.4])
    table = load_trials([written, other.write()])
    assert list(zip(table["study"], table["number"], strict=True))[-2:] == [("one", 3), ("two", 0)]
    assert table["best_dice"].tolist() == [0.7, 0.8, 0.1, pytest.approx(math.nan, nan_ok=True), 0.3, 0.4]
    assert table["best_epoch"].tolist()[:2] == [3, 2]
    assert table["seconds"].tolist()[:2] == [4.5, 4.5]


def test_epochs_and_terms_have_a_row_each(written: Path) -> None:
    epochs = epochs_table(written)
    assert epochs["epoch"].tolist() == [1, 2, 3, 1, 2, 3, 1, 1]
    assert math.isnan(epochs["weight_bce"][0])  # the baseline has no such term
    terms = terms_table(written)
    assert terms[terms["number"] == -1]["term"].tolist() == ["dice"] * 3
    first = terms[(terms["number"] == 0) & (terms["epoch"] == 1)].set_index("term")
    assert first["weighted"].to_dict() == {"dice": pytest.approx(0.2), "bce": pytest.approx(0.2)}


def test_cases_are_those_of_the_best_epoch(written: Path) -> None:
    append_line(
        written / "trials" / "0000" / "cases.jsonl", {"epoch": 1, "case": "a", "group": "a", "class": "disc", "dice": 0}
    )
    append_line(
        written / "trials" / "0000" / "cases.jsonl",
        {"epoch": 2, "case": "a", "group": "a", "class": "disc", "nsd": 0.25},
    )
    cases = cases_table(written)
    rows = cases[cases["number"] == 0].set_index("case")
    assert rows["dice"].to_dict() == {"a": 0.7, "b": 0.9}
    assert rows["nsd"]["a"] == 0.25  # joined to the row of its case


def test_failures_come_with_the_end_of_their_log(written: Path) -> None:
    (row,) = failures_table(written).itertuples()
    assert (row.number, row.cause, row.log) == (2, "NaN", "one\ntwo")


def test_checkpoints_say_whether_they_are_still_there(written: Path) -> None:
    (written / checkpoint_path(0, 1)).mkdir(parents=True)
    index = written / "trials" / "0000" / "checkpoints.jsonl"
    index.unlink()
    for epoch, path in ((1, checkpoint_path(0, 0)), (2, checkpoint_path(0, 1))):
        append_line(index, {"epoch": epoch, "path": path, "dice": 0.6, "bytes": 1 << 20, "sha256": ""})
    table = checkpoints_table(written)
    assert table[table["number"] == 0]["kept"].tolist() == [False, True]
    assert load_trials(written)["checkpoint"][1] == str(written / checkpoint_path(0, 1))
    kinds = compare(written).set_index("kind")
    assert kinds[["mib_written", "mib_kept"]].to_dict("index")["one: trial 0"] == {"mib_written": 2.0, "mib_kept": 1.0}


def test_what_is_damaged_is_left_out_and_named(written: Path) -> None:
    metrics = written / "trials" / "0000" / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    metrics.write_text("\n".join([lines[0], "{torn", '"text"', '{"no": "epoch"}', lines[1]]) + '\n{"epoch": 3, "val')
    journal = written / "journal.log"
    journal.write_text(journal.read_text() + "rubbish\n" + '{"op_code": 7, "trial_id": 99, "step": 1}\n')
    tables = StudyTables(written)
    assert tables.epochs[tables.epochs["number"] == 0]["epoch"].tolist() == [1, 2]
    assert len(tables.trials) == 5
    assert [line.rpartition("/")[2] for line in tables.problems] == [
        "journal.log: 1 damaged line (30) left out",
        "journal.log: 1 entries that make no sense left out",
        "metrics.jsonl: 2 damaged lines (2, 3) left out",
        "metrics.jsonl: rows without an epoch left out",
    ]


def test_an_empty_study_has_empty_tables(tmp_path: Path) -> None:
    empty = StudyWriter(tmp_path / "empty").write()
    for table in (load_trials, epochs_table, terms_table, checkpoints_table, failures_table, cases_table, compare):
        assert table(empty).empty


def test_loss_families_are_compared_by_finished_trials(written: Path) -> None:
    table = compare(written, by="loss").set_index("kind")
    assert table["trials"].to_dict() == {"bce + dice": 4, "dice": 1}
    assert list(table[["finished", "pruned", "failed", "best"]].to_dict("index")["bce + dice"].values()) == [
        1,
        1,
        1,
        0.8,
    ]
    assert compare(written, by="schedule")["kind"].tolist() == ["constant"]
    assert compare([written, written], by="study")["trials"].tolist() == [10]
    with pytest.raises(InvalidInputError, match="expected one of trial, loss, strategy, schedule, study"):
        compare(written, by="colour")  # type: ignore[arg-type]


def test_tables_are_exported_as_other_tools_read_them(written: Path, tmp_path: Path) -> None:
    trials = load_trials(written)
    rows = json.loads(table_text(trials, "json"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert rows[1]["params"] == {"loss.weights": {"dice": 0.5, "bce": 0.5}}
    assert rows[3]["best_dice"] is None
    table = pd.read_csv(StringIO(table_text(trials, "csv")))
    assert json.loads(table["params"][1]) == rows[1]["params"]
    stored = pd.read_parquet(write_table(trials, tmp_path / "trials.parquet", "parquet"))
    assert stored["number"].tolist() == trials["number"].tolist()


def test_text_stays_text_in_markdown_and_latex() -> None:
    table = pd.DataFrame({"a_b": ["<script>|x", "50 % & more\nlines"], "n": [0.5, math.nan]})
    assert table_text(table, "markdown").splitlines()[2:] == [
        "| &lt;script&gt;\\|x | 0.5 |",
        "| 50 % & more lines |  |",
    ]
    latex = table_text(table, "latex").splitlines()
    assert latex[0] == r"\begin{tabular}{lr}"
    assert latex[2] == r"a\_b & n \\"
    assert r"50 \% \& more" in table_text(table, "latex")


def test_the_collector_works_again_after_a_table_was_read() -> None:
    @collector_paused()
    def read() -> None:
        assert not gc.isenabled()
        raise ValueError("no table")

    with pytest.raises(ValueError, match="no table"):
        read()
    assert gc.isenabled()
