"""The report of one study or several, as one HTML file or as Markdown for a pull request."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports.comparing import compare
from reports.exporting import escape_markdown, table_text
from reports.html.background import configuration, data, missing_text
from reports.html.cases import cases, images
from reports.html.finalists import finalists
from reports.html.page import anchor, page
from reports.html.parts import Section, paragraph, table
from reports.html.sections import LAST, SECTIONS
from reports.rows import rows_of
from reports.sentences import summary_sentences
from reports.study_tables import StudyTables
from reports.tables import Directories, read_studies
from reports.trained_again import Finalists, read_finalists
from tuning.record.jsonl import replace_text

if TYPE_CHECKING:
    from components.data import SegmentationData

LoadImages = Callable[[StudyTables], Sequence["SegmentationData"]]
_MARKDOWN_ROWS = 10


def write_report(
    directories: Directories,
    path: str | Path | None = None,
    *,
    images: LoadImages | None = None,
    finalists: Finalists | None = None,
    missing: Sequence[str] = (),
) -> Path:
    """Write the report as one HTML file that needs nothing else.

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
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_text(target, report_html(studies, images=images, finalists=finalists, missing=missing))
    return target


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

    if trained_again:
        add("finalists", "Trained again", lambda: _finalists(trained_again, f"{lead}finalists"))
    add_all(SECTIONS)
    add_all([("cases", "Baseline against tuned", cases)])
    if images_of:
        add("images", "Pictures", lambda: images(study, images_of(study)))
    add_all([*LAST, ("data", "Data", data), ("configuration", "Configuration, environment, commands", configuration)])
    lines = [*study.problems, *problems]
    if lines:
        found.insert(0, Section(f"{lead}missing", f"{named}What is missing", missing_text(lines)))
    return found


def _finalists(trained: Finalists, ident: str) -> str:
    scores = trained.scores if trained.retrained is None else trained.retrained
    search = trained.search if trained.retrained is not None else {}
    return finalists(trained.conclude(), trained.baseline, search, scores, ident)


def _safely_said(study: StudyTables, trained_again: Finalists | None) -> list[str]:
    try:
        return summary_sentences(study, trained_again.conclude() if trained_again else None)
    except Exception as error:  # noqa: BLE001 - as above: a damaged record must not cost the whole report
        return [f"{study.name} cannot be summed up: {type(error).__name__}: {error}"]


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
