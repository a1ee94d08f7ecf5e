"""CLIP's residual tower against PyTorch with the same random weights."""

import re
from typing import Any

import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from models.architectures.clip_resnet import port
from models.port import assemble
from tests.models.parity import check_layers, check_modules, images, ported, randomised, state_of
from tests.models.reference.clip_resnet import ClipResNet
from tests.models.reference.vit import OpenAIClip

# Two stages are enough for blocks with and without a stride and a shortcut; 16 channels for two heads at the end.
DEPTHS, WIDTH, OUT = (2, 1), 16, 10


def tower(size: int) -> tuple[Any, Any]:
    """The port and PyTorch's whole model; the grid of the attention is that of the second stage."""
    side = (size + 1) // 2 // 2 // 2
    return port(DEPTHS, WIDTH, OUT, size=32 * side), randomised(OpenAIClip(ClipResNet(DEPTHS, WIDTH, OUT, 32 * side)))


@pytest.mark.parametrize(("size", "folded"), [(32, False), (35, True)])
def test_each_module_on_the_same_input(size: int, folded: bool) -> None:
    here, whole = tower(size)
    module = ported(here, whole, "original", folded=folded)
    check_modules(module, whole.visual, images(size), r"layer\d\.\d|attnpool" + ("" if folded else r"|conv\d|bn\d"))


def in_timm(name: str) -> str:
    """What timm calls a tensor of the tower."""
    parts = name.split(".")
    if match := re.fullmatch(r"(conv|bn)(\d)", parts[0]):
        return f"stem.conv{match[2]}.{match[1]}.{parts[1]}"
    if parts[0] == "attnpool":
        kind = {f"{letter}_proj": letter for letter in "qkv"} | {"c_proj": "proj", "positional_embedding": "pos_embed"}
        return ".".join(["head", kind[parts[1]], *parts[2:]])
    block = f"stages.{int(parts[0][-1]) - 1}.{parts[1]}"
    if parts[2] == "downsample":
        return f"{block}.shortcut.conv.{('conv', 'bn')[int(parts[3])]}.{parts[4]}"
    place = {"1": "conv1_1x1", "2": "conv2_kxk", "3": "conv3_1x1"}[parts[2][-1]]
    return f"{block}.{place}.{parts[2][:-1]}.{parts[3]}"


def test_files_of_timm() -> None:
    here, whole = tower(32)
    theirs = {in_timm(name): tensor for name, tensor in state_of(whole.visual).items()}
    assert len(theirs) == len(state_of(whole.visual))
    assert {"stages.0.0.shortcut.conv.bn.weight", "head.q.bias", "stem.conv3.conv.weight"} < set(theirs)
    wanted = nnx.to_flat_state(nnx.state(ported(here, whole, "original")))
    for names in ("timm", None):
        found = nnx.to_flat_state(nnx.state(assemble(here, theirs, "file", names)))
        for (path, ours), (_, expected) in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours[...], expected[...], err_msg=str(path))
    names_of_layers = {"stem.conv2": "relu2", "stem": "avgpool", "stages.0.1": "layer1.1", "stages.0": "layer1.1"}
    assert here.aliases.items() >= (names_of_layers | {"stages.1.0": "layer2.0", "head": "embedding"}).items()


@pytest.mark.parametrize("size", [32, 35])
def test_end_to_end(size: int) -> None:
    here, whole = tower(size)
    where = {layer: layer for layer in here.layers} | {"embedding": "attnpool"}
    assert all(here.aliases.get(f"visual.{name}") == layer for layer, name in where.items())
    check_layers(ported(here, whole, "original", folded=True), whole.visual, images(size), where)
