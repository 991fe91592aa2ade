"""`segtune convert`: a bundle in the form of another tool."""

from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from tests.bundles import conv_bundle
from tuning.cli import app

for extra in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(extra, reason="needs the extra `export`")


def test_a_bundle_is_written_in_the_form_of_another_tool(tmp_path: Path) -> None:
    torch.manual_seed(0)
    bundle = conv_bundle(tmp_path / "cells", nn.Conv2d(1, 1, 3, padding="same").eval())
    words = ["convert", str(bundle), "--for", "triton", "--to", str(tmp_path / "models")]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stdout) == (0, f"written   {tmp_path / 'models'}\n")
    assert (tmp_path / "models" / "cells" / "1" / "model.onnx").read_bytes() == (bundle / "model.onnx").read_bytes()
    assert CliRunner().invoke(app, ["convert", str(bundle), "--for", "tflite", "--to", "x"]).exit_code == 2
