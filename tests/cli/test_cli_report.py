"""`segtune report` in every form, of studies that were written by hand."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from tests.report_studies import StudyWriter, write_finalists
from tuning.cli import app
from tuning.errors import StudyNotFoundError


@pytest.fixture
def study(tmp_path: Path) -> Path:
    writer = StudyWriter(tmp_path / "study")
    writer.add([0.5, 0.6], baseline="dice")
    writer.add([0.5, 0.7])
    return writer.write()


def report(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["report", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_default_is_a_page_and_its_three_sentences(study: Path) -> None:
    lines = report(study, "--no-images").splitlines()
    assert lines[0].startswith("written: 1 setting and 1 baseline were trained on discs (2 finished)")
    assert lines[-1] == f"report    {study / 'report' / 'index.html'}"
    tables = sorted(path.stem for path in (study / "report").glob("*.csv"))
    assert tables == ["cases", "checkpoints", "epochs", "failures", "strategies", "terms", "trials"]
    assert len(lines) == 4
    assert "This could not be drawn" not in (study / "report" / "index.html").read_text(encoding="utf-8")


def test_data_that_cannot_be_loaded_costs_the_pictures_alone(study: Path) -> None:
    report(study, "--images")  # the fingerprint of the written study is none
    page = (study / "report" / "index.html").read_text(encoding="utf-8")
    assert "the data is no longer that of the study" in page


@pytest.mark.parametrize(
    ("form", "part"),
    [("table", "trial 0"), ("csv", "study,number,"), ("markdown", "| study: trial 0 |"), ("latex", r"\begin{tabular}")],
)
def test_text_goes_to_standard_output_or_a_file(study: Path, tmp_path: Path, form: str, part: str) -> None:
    text = report(study, "--format", form)
    assert part in text
    report(study, "--format", form, "--to", tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") in text


@pytest.mark.parametrize("table", ["trials", "epochs", "terms", "checkpoints", "failures", "cases", "strategies"])
def test_each_table_is_had_in_each_form(study: Path, table: str) -> None:
    for form, part in (
        ("csv", "study,number"),
        ("json", "["),
        ("markdown", "| study | number |"),
        ("latex", "tabular"),
    ):
        assert part in report(study, "--table", table, "--format", form)


def test_a_damaged_record_of_finalists_costs_neither_sentences_nor_page(study: Path) -> None:
    write_finalists(study)
    (study / "finalists" / "study.yaml").write_text("format: [1\n")
    lines = report(study, "--no-images").splitlines()
    assert len(lines) == 4
    assert "finalists/study.yaml: is damaged" in (study / "report" / "index.html").read_text(encoding="utf-8")


def test_tables_of_several_studies_are_one(study: Path, tmp_path: Path) -> None:
    other = StudyWriter(tmp_path / "other").write()
    assert [row["study"] for row in json.loads(report(study, other, "--format", "json"))] == ["study", "study"]
    report(study, other, "--format", "parquet", "--to", tmp_path / "tables")
    assert sorted(path.stem for path in (tmp_path / "tables").iterdir()) == [
        "cases",
        "checkpoints",
        "epochs",
        "failures",
        "strategies",
        "terms",
        "trials",
    ]
    assert len(pd.read_parquet(tmp_path / "tables" / "epochs.parquet")) == 4


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("format: 99\n", "found format version 99"),
        ("format: [1\nname", "study.yaml: is damaged"),
        ("format: 1\nsettings: {}\n", "study.yaml: is damaged: it lacks data"),
    ],
)
def test_a_study_that_cannot_be_read_does_not_cost_the_others(
    study: Path, tmp_path: Path, text: str, found: str
) -> None:
    other = StudyWriter(tmp_path / "other").write()
    (other / "study.yaml").write_text(text)
    report(other, study, "--no-images", "--to", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert found in page
    assert "trial 0" in page


def test_a_folder_without_a_study_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StudyNotFoundError, match="no study here"):
        report(tmp_path)


def test_a_report_runs_no_code_that_a_study_names_unless_it_is_asked_to(study: Path, tmp_path: Path) -> None:
    planted, file = tmp_path / "ran", study / "study.yaml"
    record = yaml.safe_load(file.read_text(encoding="utf-8"))
    record["settings"]["data"] |= {"build": "subprocess:getoutput", "arguments": {"cmd": f"touch {planted}"}}
    file.write_text(yaml.safe_dump(record), encoding="utf-8")
    for form in ("html", "table", "csv", "json", "markdown", "latex"):
        report(study, "--format", form)
    page = (study / "report" / "index.html").read_text(encoding="utf-8")
    assert "subprocess:getoutput, which the study names, makes its images, and a report runs no code of a study" in page
    assert not planted.exists()
    result = CliRunner().invoke(app, ["report", str(study), "--images"])
    assert "runs subprocess:getoutput, which" in result.output
    assert planted.exists()
