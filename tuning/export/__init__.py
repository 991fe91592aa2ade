"""From a study to a model in production: which weights, checked how, written as a bundle."""

from tuning.export.exporting import export_ensemble, export_finalist, export_finalists, export_trial
from tuning.export.result import Export
from tuning.export.source import FORMATS

__all__ = ["FORMATS", "Export", "export_ensemble", "export_finalist", "export_finalists", "export_trial"]
