"""A bundle gives the same network again, or says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn

from components.deployment import load_model
from components.deployment.bundle import (
    BUNDLE,
    FORMAT_VERSION,
    METRICS,
    WEIGHTS,
    read_bundle,
    write_bundle,
)
from components.deployment.errors import BundleError
from components.errors import InvalidInputError
from components.training import small_unet

NETWORK: dict[str, Any] = {
    "build": "components.training:small_unet",
    "arguments": {"in_channels": 2, "out_channels": 3, "channels": [4, 8]},
}


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return small_unet(2, 3, channels=(4, 8)).eval()


@pytest.fixture
def bundle(tmp_path: Path, model: nn.Module) -> Path:
    weights = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    write_bundle(tmp_path, weights, {"name": "toy", "network": NETWORK}, {"val_dice": 0.5})
    return tmp_path


def change(bundle: Path, **fields: object) -> None:
    description = json.loads((bundle / BUNDLE).read_text())
    (bundle / BUNDLE).write_text(json.dumps(description | fields))


def refused(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_model(bundle)
    return str(caught.value)


def test_the_model_gives_the_same_logits(bundle: Path, model: nn.Module) -> None:
    images = torch.randn(2, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    for folder in (bundle, str(bundle)):
        loaded = load_model(folder)
        assert not loaded.training
        assert torch.equal(loaded(images), model(images))


def test_a_bundle_says_what_it_is(bundle: Path) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == sorted((BUNDLE, METRICS, WEIGHTS))
    description = read_bundle(bundle)
    assert (description["format"], description["name"], description["network"]) == (FORMAT_VERSION, "toy", NETWORK)
    assert len(description["weights_sha256"]) == 64
    assert json.loads((bundle / METRICS).read_text()) == {"val_dice": 0.5}


@pytest.mark.parametrize("position", [8, -1])
def test_a_changed_byte_is_found(bundle: Path, position: int) -> None:
    content = bytearray((bundle / WEIGHTS).read_bytes())
    content[position] ^= 1
    (bundle / WEIGHTS).write_bytes(content)
    assert refused(bundle) == (
        f"{bundle}/model.safetensors: its SHA-256 is not that of bundle.json; the file was changed or damaged."
    )


@pytest.mark.parametrize("name", [BUNDLE, WEIGHTS])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    said = refused(bundle)
    assert said.startswith(f"{bundle}: no whole bundle (")
    assert name in said
    assert said.endswith("). Hint: write one with segtune export.")


@pytest.mark.parametrize("text", ["", '{"format": 1', "\ufeff{}"])
def test_a_description_that_is_no_json_is_refused(bundle: Path, text: str) -> None:
    (bundle / BUNDLE).write_text(text)
    assert refused(bundle).startswith(f"{bundle}: no whole bundle (")


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, None, "1"])
def test_another_format_is_refused(bundle: Path, version: object) -> None:
    change(bundle, format=version)
    assert refused(bundle) == f"{bundle}/bundle.json: not of format 1, which this segtune reads."
    (bundle / BUNDLE).write_text("[]")
    assert refused(bundle) == f"{bundle}/bundle.json: not of format 1, which this segtune reads."


@pytest.mark.parametrize("network", [None, {"build": "a:b"}, "a:b"])
def test_a_bundle_that_does_not_name_its_network_is_refused(bundle: Path, network: object) -> None:
    change(bundle, network=network)
    assert refused(bundle) == f"{bundle}/bundle.json: found network {network!r}; expected its build and arguments."


def test_code_that_builds_another_network_now_is_found(bundle: Path) -> None:
    change(
        bundle,
        network=NETWORK
        | {"build": "torch.nn:Conv2d", "arguments": {"in_channels": 2, "out_channels": 3, "kernel_size": 1}},
    )
    said = refused(bundle)
    assert said.startswith(f"{bundle}/model.safetensors has model.0.")
    assert said.endswith("Hint: torch.nn:Conv2d must be the code that built the network then.")
    change(bundle, network=NETWORK | {"arguments": NETWORK["arguments"] | {"out_channels": 2}})
    assert "the network needs (2," in refused(bundle)


def test_code_that_is_not_there_is_named(bundle: Path) -> None:
    change(bundle, network=NETWORK | {"build": "nowhere.models:net"})
    with pytest.raises(InvalidInputError) as caught:
        load_model(bundle)
    assert str(caught.value) == (
        f"{bundle}/bundle.json: network.build: 'nowhere.models:net': there is no module 'nowhere'. "
        "Hint: is it installed, or in the working directory?"
    )
