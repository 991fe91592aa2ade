"""A network as ONNX, with any batch and any size that it can take."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.errors import MissingExtraError
from components.losses.deep_supervision import outputs_of

ONNX, PT2 = "model.onnx", "model.pt2"
OPSET = 20  # old enough for runtimes from 2024 on, new enough for every operator of today's networks
_SAMPLE = (6, 8, 10)  # multiples of the divisor an axis, all different so that the exporter confuses no two axes


class _Logits(nn.Module):
    """Of a network with several outputs the first, in fp32: what a study validates."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return outputs_of(self.network(image), axes=image.ndim)[0].float()


def write_onnx(
    path: Path,
    model: nn.Module,
    *,
    channels: int,
    axes: int,
    divisor: int,
    size: Sequence[int] | None = None,
    pt2: Path | None = None,
) -> None:
    """Export a network from `image` `(B, C, *spatial)` fp32 to `logits` `(B, classes, *spatial)` fp32.

    The batch stays open, and so do the sizes, multiples of the divisor, unless they are given.

    Args:
        path: file to write; weights inside, opset `OPSET`.
        model: on the CPU, in evaluation mode.
        channels: of an image.
        axes: 2 or 3.
        divisor: of every size.
        size: the one that the model shall take, for networks that take no other.
        pt2: where to save the program that `torch.export` found, too.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        Exception: of the exporter, where the network cannot be traced.

    Example:
        >>> write_onnx(Path("model.onnx"), model, channels=1, axes=2, divisor=4)  # doctest: +SKIP
    """
    require_exporter()
    # A divisor of 1 leaves networks without downsampling, whose sizes need no factor.
    dim: Any = torch.export.Dim
    sizes = [dim(f"part{axis}", min=1) * divisor if divisor > 1 else dim(f"size{axis}", min=2) for axis in range(axes)]
    shapes = ({0: dim("batch", min=1), **({} if size else dict(enumerate(sizes, start=2)))},)
    sample = torch.zeros(2, channels, *(size or (factor * divisor for factor in _SAMPLE[:axes])))
    with _quiet(), torch.no_grad():
        program = torch.export.export(_Logits(model).eval(), (sample,), dynamic_shapes=shapes, strict=False)
        if pt2 is not None:
            torch.export.save(program, pt2)
        onnx = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
    if onnx is None:
        raise RuntimeError("the ONNX exporter returned nothing")
    path.write_bytes(onnx.model_proto.SerializeToString(deterministic=True))


def require_exporter() -> None:
    """Make sure that what writes and runs ONNX is installed.

    Raises:
        MissingExtraError: it is not.
    """
    try:
        import onnx  # noqa: F401, PLC0415 - an extra
        import onnxruntime  # noqa: F401, PLC0415 - as above
        import onnxscript  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        raise MissingExtraError(f"ONNX: {error}. Hint: pip install 'segtune[export]'") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks of torchvision and of its own deprecations, which tell a user nothing."""
    talk = logging.getLogger("torch.onnx")
    level = talk.level
    talk.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        talk.setLevel(level)
