"""A trained model as it is handed over: weights, what they expect and what they give.

Names are handed on lazily (PEP 562): `load`, the predictor, imports no torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "BUNDLE": "bundle",
    "METRICS": "bundle",
    "ONNX": "onnx_file",
    "WEIGHTS": "bundle",
    "BundleError": "errors",
    "load": "predictor",
    "load_model": "bundle",
    "read_bundle": "bundle",
    "write_bundle": "bundle",
    "write_onnx": "onnx_file",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the part that `name` lives in and hand the name on."""
    if name not in _HOMES:
        raise AttributeError(f"module 'components.deployment' has no attribute {name!r}")
    return getattr(import_module(f"components.deployment.{_HOMES[name]}"), name)
