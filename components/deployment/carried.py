"""What a bundle carries beside the model, so that it can be used and checked where no segtune is installed."""

import ast
import hashlib
from pathlib import Path

from components import image_reader
from components.deployment import image_files, mirroring, runtime

PREDICT, REQUIREMENTS = "predict.py", "requirements.txt"
_REQUIREMENTS = "imagecodecs>=2025.3\nnumpy>=2\nonnxruntime>=1.22\npillow>=11\ntifffile>=2024.8\n"
_CARRIED = (runtime, mirroring, image_reader, image_files)


def write_predictor(folder: Path) -> None:
    """Write `predict.py`, the predictor as one file without segtune, and its `requirements.txt`."""
    sources = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in _CARRIED]
    (folder / PREDICT).write_text("\n\n".join(map(_without_own_imports, sources)), encoding="utf-8")
    (folder / REQUIREMENTS).write_text(_REQUIREMENTS, encoding="utf-8")


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` of all other files, as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != runtime.SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / runtime.SUMS).write_text("".join(lines), encoding="utf-8")


def _without_own_imports(source: str) -> str:
    """In one file a module's own imports are its neighbours' names."""
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("components."):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (int(node.end_lineno or node.lineno) - node.lineno + 1)
    return "".join(lines)
