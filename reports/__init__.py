"""From a study directory to tables; starts no Ray."""

from reports.tables import epochs_table, load_trials, write_tables

__all__ = ["epochs_table", "load_trials", "write_tables"]
