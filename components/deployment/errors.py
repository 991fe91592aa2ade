"""Errors of a bundle; apart, so that the predictor loads without torch."""

from components.errors import ComponentError


class BundleError(ComponentError, ValueError):
    """A bundle is incomplete, damaged or of another version."""
