"""The command `segtune report`."""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuning.cli_options import Debug, Moved

if TYPE_CHECKING:
    from components.data import SegmentationData
    from reports.study_tables import StudyTables


_OWN = "components.data.mni152:mni152_slices"  # segtune's own, of the demonstration


class ReportFormat(StrEnum):
    """What a report is made as."""

    HTML = "html"
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    LATEX = "latex"
    PARQUET = "parquet"
    PNG = "png"
    PDF = "pdf"


class TableName(StrEnum):
    """The tables of a study."""

    TRIALS = "trials"
    EPOCHS = "epochs"
    TERMS = "terms"
    CHECKPOINTS = "checkpoints"
    FAILURES = "failures"
    CASES = "cases"
    STRATEGIES = "strategies"


def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="study directory, such as studies/brain, or several")
    ],
    form: Annotated[
        ReportFormat,
        typer.Option(
            "--format",
            help="html: one file to read and to mail; table, csv, json, latex: the table of trials; markdown: a "
            "summary for a pull request; parquet: every table as a file; png, pdf: every figure as a file",
        ),
    ] = ReportFormat.HTML,
    table: Annotated[
        TableName | None, typer.Option("--table", help="which table, as table, csv, json, markdown or latex")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="OUT", help="file (or folder, for parquet, png and pdf) to write")
    ] = None,
    images: Annotated[
        bool | None,
        typer.Option(
            "--images/--no-images",
            help="show cases of the data, which may be patients; by default unless a study's own code makes them",
            show_default=False,
        ),
    ] = None,
    settings: Moved = None,
    show: Annotated[bool, typer.Option("--open", help="open the file in a browser")] = False,  # noqa: FBT002 - as above
    debug: Debug = False,  # noqa: FBT002 - as above
) -> None:
    """Report a study, or compare several, while they run and after; by default as an HTML file in the (first) study."""
    del debug
    from components.json_lines import replace_text  # noqa: PLC0415
    from reports.tables import readable_studies  # noqa: PLC0415

    if settings:
        from tuning.moving import move  # noqa: PLC0415 - torch, which takes seconds

        for directory in directories:
            move(directory, settings)
    studies, left_out = readable_studies(directories)
    for line in left_out:
        typer.echo(f"left out: {line}", err=True)
    if form is ReportFormat.HTML:
        _html(studies, to, left_out, images=images, show=show)
    elif form in (ReportFormat.PARQUET, ReportFormat.PNG, ReportFormat.PDF):
        for path in _files(studies, to, form):
            typer.echo(path)
    else:
        text = _text(studies, form, table)
        if to is None:
            typer.echo(text, nl=False)
        else:
            replace_text(to, text)
            typer.echo(f"written: {to}", err=True)


def _html(
    studies: "Sequence[StudyTables]", to: Path | None, left_out: Sequence[str], *, images: bool | None, show: bool
) -> None:
    from reports import write_report  # noqa: PLC0415
    from reports.report import study_sentences  # noqa: PLC0415

    for study in studies:
        if images and (code := _foreign_code(study)):
            typer.echo(f"runs {code}, which {study.directory.root} names", err=True)
    load = None if images is False else partial(_load, asked=bool(images))
    written = write_report(studies, to, images=load, missing=left_out)
    for study in studies:
        for line in study_sentences(study):
            typer.echo(line)
    typer.echo(f"report    {written}")
    if show:
        typer.launch(str(written))


def _files(studies: "Sequence[StudyTables]", to: Path | None, form: ReportFormat) -> list[Path]:
    from reports import write_tables  # noqa: PLC0415
    from reports.paper import write_figures  # noqa: PLC0415

    if form is ReportFormat.PARQUET:
        return write_tables(studies, to, "parquet")
    return write_figures(studies, to, "png" if form is ReportFormat.PNG else "pdf")


def _text(studies: "Sequence[StudyTables]", form: ReportFormat, table: TableName | None) -> str:
    from reports import report_markdown, table_text  # noqa: PLC0415
    from reports.strategies import strategies_text  # noqa: PLC0415
    from reports.summary import trials_text  # noqa: PLC0415

    if table is not None:
        return _one_table(studies, form, table)
    if form is ReportFormat.MARKDOWN:
        return report_markdown(studies)
    if form is ReportFormat.LATEX:
        from reports import compare  # noqa: PLC0415

        return table_text(compare(studies), "latex")
    text = trials_text(studies, form.value)
    if form is ReportFormat.TABLE:
        text += "".join(f"\n{found}\n" for study in studies if (found := strategies_text(study)))
    return text


def _one_table(studies: "Sequence[StudyTables]", form: ReportFormat, table: TableName) -> str:
    from reports import table_text  # noqa: PLC0415
    from reports.files import TABLES  # noqa: PLC0415

    found = TABLES[table.value](studies)
    return found.to_string(index=False) + "\n" if form is ReportFormat.TABLE else table_text(found, form.value)


def _foreign_code(study: "StudyTables") -> str:
    """The function outside segtune that makes a study's data; empty where there is none."""
    build = (study.settings.get("data") or {}).get("build")
    return "" if build in (None, _OWN) else str(build)


def _load(study: "StudyTables", *, asked: bool) -> "Sequence[SegmentationData]":
    """The data of a study, if it is still what the study was made with and no code runs that nobody asked for."""
    from components.errors import InvalidInputError  # noqa: PLC0415
    from tuning.config import DataConfig  # noqa: PLC0415
    from tuning.data import describe_data, load_data  # noqa: PLC0415
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.pictures import read_pictures  # noqa: PLC0415
    from tuning.recorded import recorded_settings  # noqa: PLC0415

    code = _foreign_code(study)
    if code and not asked and (kept := read_pictures(study.directory)):
        return kept
    if code and not asked:
        raise InvalidInputError(
            f"{code}, which the study names, makes its images, and a report runs no code of a study. "
            "Hint: if you trust it, --images."
        )
    if code:
        make_working_directory_importable()
    folds = load_data(DataConfig.model_validate(recorded_settings(study.directory)["data"]))
    if describe_data(folds)["fingerprint"] != study.record["data"]["fingerprint"]:
        raise InvalidInputError("the data is no longer that of the study. Hint: restore it, or use --no-images.")
    return folds
