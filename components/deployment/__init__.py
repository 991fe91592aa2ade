"""A trained model as it is handed over: weights, what they expect and what they give."""

from components.deployment.bundle import BUNDLE, METRICS, WEIGHTS, BundleError, load_model, read_bundle, write_bundle

__all__ = ["BUNDLE", "METRICS", "WEIGHTS", "BundleError", "load_model", "read_bundle", "write_bundle"]
