"""A compiled loss is the loss, and where compiling fails it is still the loss."""

import copy
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses import CombinedLoss, EnhancedDiceLoss, LossManager

TARGET = (torch.arange(2 * 64).reshape(2, 1, 8, 8) % 5 == 0).float()
WEIGHTS = {"dice": 0.5, "bce": 0.25, "focal": 0.0}
pytestmark = [
    pytest.mark.filterwarnings("error:the loss is not compiled"),
    pytest.mark.filterwarnings("ignore"),  # torch warns about itself while it traces
]


def logits() -> Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()


def loss(**options: Any) -> CombinedLoss:
    terms: dict[str, Any] = {name: {} for name in WEIGHTS}
    return LossManager.create_loss_function({"terms": terms, "weights": WEIGHTS} | options)


def test_a_compiled_loss_gives_what_it_gives_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("g++") is None:
        pytest.skip("there is no C++ compiler (g++)")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compare(loss(), loss(compile=True))


def compare(plain: CombinedLoss, fast: CombinedLoss) -> None:
    x, y = logits(), logits()
    for weights in (plain.weights, {"dice": 0.1, "bce": 0.2, "focal": 0.7}):
        plain.weights = fast.weights = weights
        expected, found = plain.breakdown(x, TARGET), fast.breakdown(y, TARGET)
        values = [{name: value.item() for name, value in parts.terms.items()} for parts in (found, expected)]
        assert values[0] == pytest.approx(values[1], rel=1e-5)
        pulls = [torch.autograd.grad(parts.total, z)[0] for parts, z in ((expected, x), (found, y))]
        torch.testing.assert_close(*pulls)
    measured = fast.breakdown(y, TARGET, gradients=True)
    assert measured.gradient_shares["focal"] > 0
    measured.total.backward()  # type: ignore[no-untyped-call]


def test_copies_and_pickles_leave_the_compiled_code_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f: real(f, backend="aot_eager", fullgraph=True))
    fast, x = loss(compile=True), logits()
    expected = fast(x, TARGET).item()
    compare(loss(), copy.deepcopy(fast))
    again = pickle.loads(pickle.dumps(fast))  # noqa: S301 - its own
    assert again(x, TARGET).item() == pytest.approx(expected)


def test_without_a_compiler_the_loss_says_so_once_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(_: Any) -> Any:
        def raising(*_: Tensor) -> Any:
            raise RuntimeError("No working C++ compiler found")

        return raising

    monkeypatch.setattr(torch, "compile", no_compiler)
    fast, plain = CombinedLoss({"dice": EnhancedDiceLoss()}, compile=True), EnhancedDiceLoss()
    with pytest.warns(RuntimeWarning, match="not compiled: RuntimeError: No working C\\+\\+ compiler found"):
        assert fast(logits(), TARGET) == plain(logits(), TARGET)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fast(logits(), TARGET) == plain(logits(), TARGET)


def test_a_bad_batch_is_refused_by_a_compiled_loss_as_by_any(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f: real(f, backend="eager"))
    fast = CombinedLoss({"dice": EnhancedDiceLoss()}, compile=True)
    with pytest.raises(InvalidInputError, match="expects"):
        fast(logits(), TARGET[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        fast(logits(), TARGET)
