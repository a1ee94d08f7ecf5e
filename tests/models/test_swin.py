"""Swin Transformer against PyTorch with the same random weights."""

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from models.architectures.swin import port
from models.port import assemble
from models.weights.files import read_tensors
from tests.models.parity import (
    check_layers,
    check_modules,
    images,
    observed,
    ours,
    ported,
    randomised,
    relative_error,
    state_of,
)
from tests.models.reference.swin import Swin

# Blocks without and with a shift: below on maps of several windows, with and without padding, and of one.
CHANNELS, DEPTHS, HEADS, WINDOW = 8, (2, 2), (1, 2), 4
SIZES = (CHANNELS, DEPTHS, HEADS, WINDOW)
# Our layers by their names in torchvision.
TORCHVISION = {
    "patch_embed": "features.0",
    "layers.1.downsample": "features.2",
    "norm": "norm",
    "avgpool": "flatten",
    "logits": "head",
}
for _stage, _depth in enumerate(DEPTHS):
    for _index in range(_depth):
        _ours, _theirs = f"layers.{_stage}.blocks.{_index}", f"features.{2 * _stage + 1}.{_index}"
        TORCHVISION |= {_ours: _theirs, f"{_ours}.attn": f"{_theirs}.attn", f"{_ours}.mlp.act": f"{_theirs}.mlp.1"}


def channels_first(layer: str, tensor: Any) -> Any:
    """The reference has channels last inside its blocks."""
    return tensor.movedim(-1, 1) if re.search(r"\.(attn|act)$", layer) else tensor


@pytest.fixture(scope="module")
def network() -> Any:
    return randomised(Swin(*SIZES))


def test_each_module_on_the_same_input(network: Any) -> None:
    module = ported(port(*SIZES), network, "torchvision")
    # Maps of 8 positions a side, and of 4.
    check_modules(module, network, images(33), r"features\.0\.[02]|features\.[13]\.\d|features\.2|norm|head")


# Maps of 16 and 8 positions a side; of 13 and 7.
@pytest.mark.parametrize("size", [65, 52])
def test_end_to_end(network: Any, size: int) -> None:
    check_layers(ported(port(*SIZES), network), network, images(size), TORCHVISION, channels_first)


def test_layers_and_aliases() -> None:
    known = port(*SIZES)
    assert set(known.layers) == set(TORCHVISION) - {"logits"}
    assert {known.aliases.get(name, name): name for name in TORCHVISION.values()} == TORCHVISION


def timm_names(downsample: int) -> list[str]:
    """As timm (``downsample`` 0) and the authors (1: in the stage before) write them, in torchvision's order."""

    def both(*names: str) -> list[str]:
        return [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]

    names = both("patch_embed.proj", "patch_embed.norm")
    for stage, depth in enumerate(DEPTHS):
        if stage:
            merging = f"layers.{stage - downsample}.downsample"
            names += [f"{merging}.reduction.weight", *both(f"{merging}.norm")]
        for index in range(depth):
            block = f"layers.{stage}.blocks.{index}"
            names += both(f"{block}.norm1", f"{block}.norm2")
            names += [f"{block}.attn.{name}" for name in ("relative_position_bias_table", "relative_position_index")]
            names += both(*(f"{block}.{part}" for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")))
    return [*names, *both("norm", "head" if downsample else "head.fc")]


@pytest.mark.parametrize(("names", "downsample"), [("timm", 0), ("original", 1), (None, 0), (None, 1)])
def test_other_files(network: Any, names: str | None, downsample: int) -> None:
    theirs = dict(zip(timm_names(downsample), state_of(network).values(), strict=True))
    found = assemble(port(*SIZES), theirs, "file", names)
    for (path, mine), (_, expected) in zip(
        nnx.to_flat_state(nnx.state(found)), nnx.to_flat_state(nnx.state(ported(port(*SIZES), network))), strict=True
    ):
        np.testing.assert_array_equal(mine[...], expected[...], err_msg=str(path))


def test_hugging_face(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    # The window must not be larger than any map.
    window, size = 2, 52
    config = transformers.SwinConfig(
        image_size=size,
        embed_dim=CHANNELS,
        depths=list(DEPTHS),
        num_heads=list(HEADS),
        window_size=window,
        num_labels=1000,
    )
    network = randomised(transformers.SwinForImageClassification(config))
    # In a file the tensors have other names than in memory.
    network.save_pretrained(tmp_path)
    known = port(CHANNELS, DEPTHS, HEADS, window)
    tensors = read_tensors((tmp_path / "model.safetensors").read_bytes(), "file")
    found = jax.jit(lambda module, x: module(x))(assemble(known, tensors, "file", "hf"), ours(images(size)))
    pattern = r"classifier|swin\.(embeddings|layernorm|pooler|.*(blocks\.\d|downsample|_fn))"
    seen = observed(network, images(size), pattern)
    compared = {known.aliases[name]: tensor for name, (_, tensor) in seen.items()}
    for layer, wanted in compared.items():
        # There tokens, here the same as a map.
        assert relative_error(found[layer].reshape(2, -1), wanted.reshape(2, -1)) < 1e-4, layer
    # There the attention gives windows.
    assert set(found) - set(compared) == {name for name in found if name.endswith(".attn")}
