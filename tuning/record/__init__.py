"""The format of a study directory: its files, its journal and what they say. Knows no Ray and no torch."""

from tuning.record.entry import Clone, TrialEntry, make_entry
from tuning.record.journal import Journal, open_journal
from tuning.record.jsonl import append_line, cut_torn_tail, read_lines, rewrite_lines
from tuning.record.layout import FORMAT_VERSION, StudyDirectory, TrialDirectory, read_index, trial_label, trial_name
from tuning.record.places import checkpoint_folders, checkpoint_in, file_in, folder_in

__all__ = [
    "FORMAT_VERSION",
    "Clone",
    "Journal",
    "StudyDirectory",
    "TrialDirectory",
    "TrialEntry",
    "append_line",
    "checkpoint_folders",
    "checkpoint_in",
    "cut_torn_tail",
    "file_in",
    "folder_in",
    "make_entry",
    "open_journal",
    "read_index",
    "read_lines",
    "rewrite_lines",
    "trial_label",
    "trial_name",
]
