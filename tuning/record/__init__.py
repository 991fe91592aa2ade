"""The format of a study directory: its files, its journal and what they say. Knows no Ray and no torch."""

from components.json_lines import append_line, cut_torn_tail, read_lines, rewrite_lines
from tuning.record.entry import Clone, TrialEntry, make_entry
from tuning.record.journal import Journal, open_journal
from tuning.record.layout import FORMAT_VERSION, StudyDirectory, TrialDirectory, read_index, trial_label, trial_name
from tuning.record.places import checkpoint_folders, checkpoint_in, file_in, folder_in
from tuning.record.scheduling import (
    SchedulerDecision,
    in_order_of_arrival,
    mend_decisions,
    note_decision,
    read_scheduler_decisions,
)

__all__ = [
    "FORMAT_VERSION",
    "Clone",
    "Journal",
    "SchedulerDecision",
    "StudyDirectory",
    "TrialDirectory",
    "TrialEntry",
    "append_line",
    "checkpoint_folders",
    "checkpoint_in",
    "cut_torn_tail",
    "file_in",
    "folder_in",
    "in_order_of_arrival",
    "make_entry",
    "mend_decisions",
    "note_decision",
    "open_journal",
    "read_index",
    "read_lines",
    "read_scheduler_decisions",
    "rewrite_lines",
    "trial_label",
    "trial_name",
]
