"""The report of one study or several, as one HTML file or as Markdown for a pull request."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from components.json_lines import replace_text
from reports.comparing import compare
from reports.exporting import escape_markdown, table_text
from reports.files import write_tables
from reports.html.background import configuration, data, missing_text
from reports.html.cases import cases, images
from reports.html.finalists import finalists
from reports.html.page import anchor, page
from reports.html.parts import Section, paragraph, table
from reports.html.sections import LAST, SECTIONS
from reports.reading import collector_paused
from reports.rows import rows_of
from reports.sentences import summary_sentences
from reports.statistics import Conclusion
from reports.study_tables import StudyTables
from reports.tables import Directories, read_studies
from reports.trained_again import Finalists, progress_sentence, read_finalists

if TYPE_CHECKING:
    from components.data import SegmentationData

LoadImages = Callable[[StudyTables], Sequence["SegmentationData"]]
_MARKDOWN_ROWS = 10


@collector_paused()
def write_report(
    directories: Directories,
    path: str | Path | None = None,
    *,
    images: LoadImages | None = None,
    finalists: Finalists | None = None,
    missing: Sequence[str] = (),
) -> Path:
    """Write the report as one HTML file that needs nothing else, and each study's tables into its folder `report`.

    Args:
        directories: study directory, or several, which are then compared first.
        path: file; by default `report/index.html` in the (first) study, `report/comparison.html` for several.
        images: gives the data of a study, a data set a fold, to draw cases; without it the file holds no image.
        finalists: settings of the (first) study that were trained again; by default those of `segtune finalists`.
        missing: what else could not be read, to be said first.

    Returns:
        The file.

    Raises:
        StudyNotFoundError: a directory holds no study.
        StudyMismatchError: a study is of another format version.

    Example:
        >>> write_report("studies/brain")  # doctest: +SKIP
        PosixPath('studies/brain/report/index.html')
    """
    studies = read_studies(directories)
    default = "comparison.html" if len(studies) > 1 else "index.html"
    target = Path(path) if path else studies[0].directory.reports / default
    for study in studies:
        _write_tables(study)
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_text(target, report_html(studies, images=images, finalists=finalists, missing=missing))
    return target


def study_sentences(study: StudyTables) -> list[str]:
    """The three sentences of a study, or what keeps them from being said."""
    return _safely_said(study, read_finalists(study))


def _write_tables(study: StudyTables) -> None:
    problems: list[str] = []
    try:
        write_tables(study, problems=problems)
    except OSError as error:
        problems.append(f"The tables cannot be written: {error}")
    for problem in problems:
        study.note("files", problem)


def report_html(
    directories: Directories,
    *,
    images: LoadImages | None = None,
    finalists: Finalists | None = None,
    missing: Sequence[str] = (),
) -> str:
    """As `write_report`, as text."""
    studies = read_studies(directories)
    sections = [Section("left-out", "What could not be read", missing_text(missing))] if missing else []
    sections += [_comparison(studies)] if len(studies) > 1 else []
    sentences = []
    for index, study in enumerate(studies):
        own = (finalists if index == 0 else None) or read_finalists(study)
        sentences += _safely_said(study, own)
        sections += _sections_of(study, f"{anchor(study.name)}-{index}" if len(studies) > 1 else "", images, own)
    return page(" and ".join(study.name for study in studies), sentences, sections)


def report_markdown(directories: Directories, *, finalists: Finalists | None = None) -> str:
    """The three sentences and the best trials, short enough for a pull request."""
    parts = []
    for index, study in enumerate(read_studies(directories)):
        own = (finalists if index == 0 else None) or read_finalists(study)
        best = compare(study).head(_MARKDOWN_ROWS)[["kind", "finished", "best", "epochs", "seconds"]]
        sentences = " ".join(_safely_said(study, own))
        parts.append(
            f"## {escape_markdown(study.name)}\n\n{escape_markdown(sentences)}\n\n{table_text(best, 'markdown')}"
        )
    return "\n".join(parts)


def _sections_of(
    study: StudyTables, prefix: str, images_of: LoadImages | None, trained_again: Finalists | None
) -> list[Section]:
    named = f"{study.name}: " if prefix else ""
    lead = f"{prefix}-" if prefix else ""
    problems: list[str] = []
    found: list[Section] = []

    def add(ident: str, title: str, build: Callable[[], str]) -> None:
        try:
            body = build()
        except Exception as error:  # noqa: BLE001 - one section that cannot be drawn must not cost the others
            problems.append(f"{title}: {type(error).__name__}: {error}")
            body = paragraph(f"This could not be drawn: {type(error).__name__}: {error}", "warning")
        found.append(Section(lead + ident, named + title, body))

    def add_all(parts: Sequence[tuple[str, str, Callable[[StudyTables, str], str]]]) -> None:
        for ident, title, build in parts:
            add(ident, title, lambda build=build, ident=ident: build(study, lead + ident))  # type: ignore[misc]  # bound now

    if trained_again or study.finalists:
        add("finalists", "Trained again", lambda: _finalists(study.finalists, trained_again, f"{lead}finalists"))
    add_all(SECTIONS)
    add_all([("cases", "Baseline against tuned", cases)])
    if images_of:
        add("images", "Pictures", lambda: images(study, images_of(study)))
    add_all([*LAST, ("data", "Data", data), ("configuration", "Configuration, environment, commands", configuration)])
    lines = [*study.problems, *problems]
    if lines:
        found.insert(0, Section(f"{lead}missing", f"{named}What is missing", missing_text(lines)))
    return found


def _finalists(again: StudyTables | None, trained: Finalists | None, ident: str) -> str:
    body = ""
    if again is not None and (trained is None or trained.of_study):
        tested = 0 if trained is None else len(trained.scores[["setting", "seed"]].drop_duplicates())
        body = paragraph(progress_sentence(again, tested))
    if trained is None:
        return body
    scores = trained.scores if trained.retrained is None else trained.retrained
    search = trained.search if trained.retrained is not None else {}
    return finalists(trained.conclude(), trained.baseline, search, scores, ident) + body


def _safely_said(study: StudyTables, trained_again: Finalists | None) -> list[str]:
    try:
        return summary_sentences(study, _safely_concluded(study, trained_again))
    except Exception as error:  # noqa: BLE001 - as above: a damaged record must not cost the whole report
        study.note("summary", f"The summary: {type(error).__name__}: {error}")
        return [f"{study.name} cannot be summed up: {type(error).__name__}: {error}"]


def _safely_concluded(study: StudyTables, trained_again: Finalists | None) -> Conclusion | None:
    if trained_again is None:
        return None
    try:
        return trained_again.conclude()
    except Exception as error:  # noqa: BLE001 - as above
        study.note("summary", f"What was trained again: {type(error).__name__}: {error}")
        none = pd.DataFrame()
        return Conclusion(None, "What was trained again cannot be compared: its scores are damaged.", none, none)


def _comparison(studies: Sequence[StudyTables]) -> Section:
    rows = [
        [
            row.kind,
            row.trials,
            row.finished,
            row.pruned,
            row.failed,
            row.best,
            row.median,
            row.epochs,
            round(row.seconds, 1),
        ]
        for row in rows_of(compare(list(studies), by="study"))
    ]
    columns = ("study", "trials", "finished", "stopped", "failed", "best", "median", "epochs", "seconds")
    note = "Scores of different data or splits cannot be compared; the fingerprint of each study's data is below."
    return Section("comparison", "Studies compared", table(columns, rows, "By best Dice") + paragraph(note, "note"))
