"""From a study directory to tables, statistics, figures and a report; starts no Ray."""

from reports.comparing import compare
from reports.exporting import table_text, write_table
from reports.files import write_tables
from reports.losses import plot_loss_evaluation
from reports.report import report_html, report_markdown, write_report
from reports.sentences import summary_sentences
from reports.study_tables import StudyTables
from reports.tables import (
    cases_table,
    checkpoints_table,
    epochs_table,
    failures_table,
    load_trials,
    read_studies,
    terms_table,
)
from reports.trained_again import Finalists, read_finalists

__all__ = [
    "Finalists",
    "StudyTables",
    "cases_table",
    "checkpoints_table",
    "compare",
    "epochs_table",
    "failures_table",
    "load_trials",
    "plot_loss_evaluation",
    "read_finalists",
    "read_studies",
    "report_html",
    "report_markdown",
    "summary_sentences",
    "table_text",
    "terms_table",
    "write_report",
    "write_table",
    "write_tables",
]
