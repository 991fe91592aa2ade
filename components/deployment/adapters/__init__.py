"""Bundles in the forms that other tools serve: MLflow, Triton, MONAI."""

from collections.abc import Callable
from pathlib import Path

from components.deployment.adapters.mlflow_model import write_mlflow
from components.deployment.adapters.monai_bundle import write_monai
from components.deployment.adapters.triton import write_triton

ADAPTERS: dict[str, Callable[[Path, Path], None]] = {
    "mlflow": write_mlflow,
    "triton": write_triton,
    "monai": write_monai,
}

__all__ = ["ADAPTERS", "write_mlflow", "write_monai", "write_triton"]
