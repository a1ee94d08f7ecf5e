"""ConvNeXt against PyTorch with the same random weights."""

from typing import Any

import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from models.architectures.convnext import port
from models.port import assemble
from models.weights.files import read_tensors
from tests.models.parity import (
    check_layers,
    check_modules,
    images,
    ported,
    randomised,
    state_of,
)
from tests.models.reference.convnext import ConvNeXt
from tests.models.reference.keras_file import keras_file

CHANNELS, DEPTHS = (8, 12, 16), (1, 2, 1)
# Our layers by their names in torchvision.
TORCHVISION = {
    "stem": "features.0",
    "stages.0.blocks.0": "features.1.0",
    "stages.0.blocks.0.conv_dw": "features.1.0.block.0",
    "stages.1.downsample.0": "features.2.0",
    "stages.1.downsample": "features.2",
    "stages.1.blocks.0": "features.3.0",
    "stages.1.blocks.0.conv_dw": "features.3.0.block.0",
    "stages.1.blocks.1": "features.3.1",
    "stages.1.blocks.1.conv_dw": "features.3.1.block.0",
    "stages.2.downsample.0": "features.4.0",
    "stages.2.downsample": "features.4",
    "stages.2.blocks.0": "features.5.0",
    "stages.2.blocks.0.conv_dw": "features.5.0.block.0",
    "avgpool": "avgpool",
    "norm": "classifier.0",
    "logits": "classifier.2",
}


def flattened(layer: str, tensor: Any) -> Any:
    return tensor.flatten(1) if layer in ("avgpool", "norm") else tensor


@pytest.fixture(scope="module")
def network() -> Any:
    return randomised(ConvNeXt(CHANNELS, DEPTHS))


def test_each_module_on_the_same_input(network: Any) -> None:
    module = ported(port(CHANNELS, DEPTHS), network, "torchvision")
    check_modules(module, network, images(64), r"features\.\d\.\d|classifier\.[02]")


@pytest.mark.parametrize("size", [65, 64])
def test_end_to_end(network: Any, size: int) -> None:
    module = ported(port(CHANNELS, DEPTHS), network, folded=True)
    check_layers(module, network, images(size), TORCHVISION, flattened)


def test_layers_and_aliases() -> None:
    known = port(CHANNELS, DEPTHS)
    assert set(known.layers) == set(TORCHVISION) - {"logits"}
    assert {known.aliases.get(name, name): name for name in TORCHVISION.values()} == TORCHVISION


def timm_names() -> list[str]:
    """As timm writes them, in the order in which torchvision does."""

    def both(*names: str) -> list[str]:
        return [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]

    names = both("stem.0", "stem.1")
    for stage, depth in enumerate(DEPTHS):
        if stage:
            names += both(f"stages.{stage}.downsample.0", f"stages.{stage}.downsample.1")
        for index in range(depth):
            block = f"stages.{stage}.blocks.{index}"
            names += [
                f"{block}.gamma",
                *both(*(f"{block}.{part}" for part in ("conv_dw", "norm", "mlp.fc1", "mlp.fc2"))),
            ]
    return [*names, *both("head.norm", "head.fc")]


def test_files_of_timm(network: Any) -> None:
    state = state_of(network)
    theirs = {
        name: tensor.reshape(-1) if name.endswith("gamma") else tensor
        for name, tensor in zip(timm_names(), state.values(), strict=True)
    }
    wanted = nnx.to_flat_state(nnx.state(ported(port(CHANNELS, DEPTHS), network)))
    for names in ("timm", None):
        found = nnx.to_flat_state(nnx.state(assemble(port(CHANNELS, DEPTHS), theirs, "file", names)))
        assert [path for path, _ in found] == [path for path, _ in wanted]
        for (_, ours), (_, expected) in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours[...], expected[...])


def in_keras(network: Any) -> dict[str, dict[str, np.ndarray]]:
    """Layer of keras_cv_attention_models -> its tensors."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in zip(timm_names(), state_of(network).values(), strict=True):
        path, leaf = name.rsplit(".", 1)
        parts = path.split(".")
        if parts[0] == "stages" and parts[2] == "blocks":
            kinds = {"conv_dw": "dw_conv", "norm": "ln", "fc1": "up_dense", "fc2": "down_dense"}
            kind = "gamma" if leaf == "gamma" else kinds[parts[-1]]
            layer = f"stack{int(parts[1]) + 1}_block{int(parts[3]) + 1}_{kind}"
        elif parts[0] == "stages":
            layer = f"stack{int(parts[1]) + 1}_downsample_{('ln', 'conv')[int(parts[3])]}"
        else:
            layer = {"stem.0": "stem_conv", "stem.1": "stem_ln", "head.norm": "head_ln", "head.fc": "predictions"}[path]
        if layer.endswith("_ln"):
            leaf = {"weight": "gamma", "bias": "beta"}[leaf]
        elif layer.endswith("_gamma"):
            leaf, tensor = "weight", tensor.reshape(-1)
        elif leaf == "weight":
            depthwise = layer.endswith("dw_conv")
            leaf = "depthwise_kernel" if depthwise else "kernel"
            order = ((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)) if tensor.ndim == 4 else (1, 0)
            tensor = tensor.transpose(order)
        layers.setdefault(layer, {})[leaf] = tensor
    return layers


def test_files_of_keras(network: Any) -> None:
    tensors = read_tensors(keras_file(in_keras(network)), "convnext_tiny_harmonized.h5")
    assert tensors["stack2_block2_gamma.weight"].shape == (CHANNELS[1],)
    wanted = nnx.to_flat_state(nnx.state(ported(port(CHANNELS, DEPTHS), network)))
    for names in ("keras", None):
        found = nnx.to_flat_state(nnx.state(assemble(port(CHANNELS, DEPTHS), tensors, "file", names)))
        for (path, ours), (_, expected) in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours[...], expected[...], err_msg=str(path))


def test_hugging_face() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ConvNextConfig(
        num_stages=3,
        hidden_sizes=list(CHANNELS),
        depths=list(DEPTHS),
        num_labels=1000,
        layer_norm_eps=1e-6,  # of the last normalisation, as the authors have it; the configuration's default is 1e-12
    )
    network = randomised(transformers.ConvNextForImageClassification(config))
    encoder = "convnext.encoder.stages"
    where = {
        "stem": "convnext.embeddings",
        "avgpool": f"{encoder}.2",
        "norm": "convnext.layernorm",
        "logits": "classifier",
    }
    for stage, depth in enumerate(DEPTHS):
        for index in range(depth):
            block = f"stages.{stage}.blocks.{index}"
            where |= {block: f"{encoder}.{stage}.layers.{index}"}
            where |= {f"{block}.conv_dw": f"{encoder}.{stage}.layers.{index}.dwconv"}
        if stage:
            where[f"stages.{stage}.downsample.0"] = f"{encoder}.{stage}.downsampling_layer.0"
            where[f"stages.{stage}.downsample"] = f"{encoder}.{stage}.downsampling_layer.1"

    def change(layer: str, tensor: Any) -> Any:
        return tensor.mean((2, 3)) if layer == "avgpool" else tensor

    check_layers(ported(port(CHANNELS, DEPTHS), network, "hf"), network, images(64), where, change)
