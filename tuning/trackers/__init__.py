"""Other places that a study's numbers go to: TensorBoard, MLflow, Weights & Biases."""

from tuning.trackers.tracking import Tracker, make_tracking

__all__ = ["Tracker", "make_tracking"]
