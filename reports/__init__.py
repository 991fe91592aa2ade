"""From a study directory to tables, and from a comparison of losses to a plot; starts no Ray."""

from reports.files import write_tables
from reports.losses import plot_loss_evaluation
from reports.tables import epochs_table, load_trials

__all__ = ["epochs_table", "load_trials", "plot_loss_evaluation", "write_tables"]
