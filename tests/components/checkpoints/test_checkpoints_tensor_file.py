"""Our safetensors files are the library's, and their hash is that of what lies on the disk."""

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.checkpoints.tensor_file import _DTYPES, write_tensors
from components.errors import CheckpointError


def random_tensor(shape: list[int], dtype: torch.dtype, seed: int) -> Tensor:
    """Any bytes of the type; bool only 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    size = max(torch.Size(shape).numel(), 0) * torch.empty(0, dtype=dtype).element_size()
    high = 2 if dtype == torch.bool else 256
    raw = torch.randint(0, high, (size,), dtype=torch.uint8, generator=generator)
    return raw.view(dtype).reshape(shape)


def raw(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())


@settings(max_examples=60, deadline=None)
@given(
    specs=st.lists(
        st.tuples(
            st.text(min_size=1, max_size=8),
            st.lists(st.integers(0, 5), max_size=4),
            st.sampled_from(sorted(_DTYPES, key=str)),
        ),
        max_size=6,
        unique_by=lambda spec: spec[0],
    ),
    seed=st.integers(0, 1000),
)
def test_the_library_reads_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, specs: list[tuple[str, list[int], torch.dtype]], seed: int
) -> None:
    specs = [spec for spec in specs if spec[0] != "__metadata__"]
    tensors = {name: random_tensor(shape, dtype, seed) for name, shape, dtype in specs}
    path = tmp_path_factory.mktemp("file") / "tensors.safetensors"
    facts = write_tensors(path, tensors, durable=False)
    content = path.read_bytes()
    assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    found = load_file(path)
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert raw(found[name]) == raw(tensor)


def test_a_network_gives_the_file_that_the_library_writes(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1).bfloat16())
    tensors = {name: value.detach() for name, value in model.state_dict().items()}
    write_tensors(tmp_path / "ours", tensors, durable=True)
    save_file(tensors, tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_type_without_a_name_in_the_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'z' is a tensor of torch\.complex128"):
        write_tensors(tmp_path / "file", {"z": torch.zeros(2, dtype=torch.complex128)}, durable=False)
    assert not (tmp_path / "file").exists()


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError):
        write_tensors(tmp_path / "file", {"a": torch.zeros(2)}, durable=False)
    assert (tmp_path / "file").read_text() == "mine"
