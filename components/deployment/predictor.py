"""The predictor of a bundle inside a Python program; on onnxruntime alone, without torch."""

from pathlib import Path

from components.deployment.errors import BundleError
from components.deployment.runtime import Predictor, RefusedBundleError
from components.errors import MissingExtraError


def load(folder: Path | str, *, threads: int | None = None, batch: int = 1, tta: bool | None = None) -> Predictor:
    """Check a bundle's hashes and open its `model.onnx`.

    Args:
        folder: the bundle.
        threads: of the network; by default one a core.
        batch: windows of an image, or images of one size, that go through the network at once.
        tta: whether probabilities are averaged over mirrored images; None: as the bundle was exported.

    Returns:
        A function from an image as stored, `(*spatial)`, `(*spatial, C)` or `(C, *spatial)`, to its mask, uint8:
        class indices `(*spatial)`, 0/1 `(*spatial)` of one class, or 0/1 `(classes, *spatial)`.

    Raises:
        BundleError: the bundle is not whole, not safe, of a newer format, or has no ONNX model, or no axis to mirror.
        MissingExtraError: onnxruntime is not installed.

    Example:
        >>> mask = load("bundle")(image)  # doctest: +SKIP
    """
    try:
        return Predictor(Path(folder), threads=threads, batch=batch, tta=tta)
    except RefusedBundleError as error:
        raise BundleError(str(error)) from error
    except ImportError as error:
        raise MissingExtraError(f"{folder}: {error}. Hint: pip install 'segtune[export]'") from error
