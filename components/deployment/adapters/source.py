"""What every adapter begins with: a bundle that is whole, and a place that is free."""

from pathlib import Path
from typing import Any

from components.deployment.errors import BundleError
from components.deployment.runtime import RefusedBundleError, read_verified


def open_bundle(bundle: Path, to: Path) -> dict[str, Any]:
    """What a bundle says of itself, once its hashes have been compared.

    Raises:
        BundleError: it is not whole, has no ONNX model, or `to` exists.
    """
    if to.exists():
        raise BundleError(f"{to}: exists already. Hint: name a new folder.")
    try:
        return read_verified(bundle)
    except RefusedBundleError as error:
        raise BundleError(str(error)) from error
