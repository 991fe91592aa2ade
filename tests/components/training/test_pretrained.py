"""Weights from a file fill a network exactly, or it is told why not; code in them never runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.training.pretrained import hash_weights, load_weights

Weights = dict[str, Tensor]
HINT = "Hint: they must come from a network with the same model.build and arguments, channels and classes."


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def weights() -> Weights:
    return network().state_dict()


def refused(path: Path) -> str:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(InvalidInputError) as caught:
        load_weights(model, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    return str(caught.value)


def save_plain(content: Weights, folder: Path) -> Path:
    torch.save(content, folder / "w.pt")
    return folder / "w.pt"


def save_nested(content: Weights, folder: Path) -> Path:
    torch.save({"epoch": 3, "state_dict": content}, folder / "w.ckpt")
    return folder / "w.ckpt"


def save_legacy(content: Weights, folder: Path) -> Path:
    torch.save(content, folder / "w.pth", _use_new_zipfile_serialization=False)
    return folder / "w.pth"


def save_safe(content: Weights, folder: Path) -> Path:
    save_file(content, folder / "w.safetensors")
    return folder / "w.safetensors"


@pytest.mark.parametrize("save", [save_plain, save_nested, save_legacy, save_safe])
def test_every_tensor_is_filled(save: Callable[[Weights, Path], Path], tmp_path: Path) -> None:
    content, model = weights(), network()
    load_weights(model, save(content, tmp_path))
    assert model.state_dict().keys() == content.keys()
    assert all(torch.equal(tensor, content[name]) for name, tensor in model.state_dict().items())


def test_weights_of_half_precision_are_widened(tmp_path: Path) -> None:
    model = network()
    load_weights(model, save_safe({name: tensor.half() for name, tensor in weights().items()}, tmp_path))
    assert model.state_dict()["0.weight"].dtype == torch.float32


def test_names_and_shapes_that_differ_are_told(tmp_path: Path) -> None:
    content = weights()
    content["head.weight"] = content.pop("1.weight")
    content["0.bias"] = torch.ones(5)
    path = save_safe(content, tmp_path)
    assert refused(path) == (
        f"model.weights: {path} has 0.bias as (5,), the network needs (2,); "
        f"has head.weight, which the network has not; misses 1.weight. {HINT}"
    )


def test_of_many_differences_three_are_told(tmp_path: Path) -> None:
    path = save_plain({f"inner.{name}": tensor for name, tensor in weights().items()}, tmp_path)
    assert refused(path) == (
        f"model.weights: {path} has inner.0.bias, which the network has not; has inner.0.weight, which the network "
        f"has not; has inner.1.bias, which the network has not; and 11 more. {HINT}"
    )
    assert "misses 0.bias; misses 0.weight; misses 1.bias; and 4 more." in refused(save_plain({}, tmp_path))


def test_only_zeros_and_what_is_not_finite_are_refused(tmp_path: Path) -> None:
    path = save_safe({name: torch.zeros_like(tensor) for name, tensor in weights().items()}, tmp_path)
    assert refused(path) == f"model.weights: every weight in {path} is zero. Hint: was it saved before training?"
    for value in (float("nan"), float("inf")):
        content = weights()
        content["0.weight"][1, 0, 2, 2] = value
        path = save_plain(content, tmp_path)
        assert refused(path) == f"model.weights: {path} holds NaN or infinity."


class Touches:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_never_runs(tmp_path: Path, *, zipped: bool) -> None:
    trap, path = tmp_path / "trap", tmp_path / "w.pt"
    torch.save(weights() | {"x": Touches(trap)}, path, _use_new_zipfile_serialization=zipped)
    said = refused(path)
    assert said == (
        f"model.weights: {path} cannot be read (it holds no tensors, or other things besides). "
        "Hint: give safetensors, or a plain state dict."
    )
    assert not trap.exists()
    torch.save(network(), path)
    assert refused(path) == said


@pytest.mark.parametrize(
    "content", [torch.ones(3), [torch.ones(3)], {"network": {"w": torch.ones(3)}}, {"w": torch.ones(3), "epoch": 3}]
)
def test_what_is_no_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    assert refused(tmp_path / "w.pt") == (
        f"model.weights: {tmp_path}/w.pt holds no plain state dict. Hint: torch.save(model.state_dict(), path)."
    )


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"h", b"0", b"a\x00", b"PK\x03\x04....", bytes(range(256))])
def test_garbage_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    said = refused(path)
    assert said.startswith(f"model.weights: {path} cannot be read (")
    assert said.endswith("). Hint: give safetensors, or a plain state dict.")
    assert "()" not in said
    assert "weights_only" not in said


@pytest.mark.parametrize("save", [save_plain, save_legacy, save_safe])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.98])
def test_a_truncated_file_is_refused(save: Callable[[Weights, Path], Path], part: float, tmp_path: Path) -> None:
    path = save(weights(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert refused(path).startswith(f"model.weights: {path} cannot be read (")


def test_a_missing_file_is_named_and_a_hash_is_of_the_content(tmp_path: Path) -> None:
    assert refused(tmp_path / "w.pt") == f"model.weights: {tmp_path}/w.pt: no such file."
    with pytest.raises(InvalidInputError, match=r"^model\.weights: .*w\.pt: no such file\.$"):
        hash_weights(tmp_path / "w.pt")
    (tmp_path / "w.pt").write_bytes(b"abc")
    assert hash_weights(tmp_path / "w.pt").startswith("ba7816bf8f01cfea")
