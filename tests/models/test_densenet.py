"""Densely connected networks against PyTorch with the same random weights."""

import re
from typing import Any

import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from models.architectures.densenet import densenet121, port
from models.port import assemble
from tests.models.parity import check_layers, check_modules, images, ported, randomised, state_of
from tests.models.reference.densenet import DenseNet

SIZES = (4, (2, 1, 2), 8)


def network() -> DenseNet:
    return randomised(DenseNet(*SIZES))


def flattened(layer: str, tensor: Any) -> Any:
    return tensor.flatten(1) if layer == "avgpool" else tensor


@pytest.mark.parametrize(("size", "folded"), [(65, False), (64, True)])
def test_each_module_on_the_same_input(size: int, folded: bool) -> None:
    """All that is after the stem; once folded, only the dense layers differ."""
    reference = network()
    pattern = r"features\.denseblock1\.denselayer\d" + ("" if folded else r"|features\.(transition\d|norm5)|classifier")
    check_modules(ported(port(*SIZES), reference, folded=folded), reference, images(size), pattern)


@pytest.mark.parametrize(("size", "folded"), [(64, False), (65, True)])
def test_end_to_end(size: int, folded: bool) -> None:
    reference, build = network(), port(*SIZES)
    where = {layer: f"features.{layer}" for layer in build.layers}
    where |= {"relu5": "relu5", "avgpool": "avgpool", "logits": "classifier"}
    check_layers(ported(build, reference, folded=folded), reference, images(size), where, flattened)


def test_files_of_torchvision_have_a_dot_more() -> None:
    reference, build = network(), port(*SIZES)
    state = state_of(reference)
    dotted = {re.sub(r"(denselayer\d\.\w+)(\d)\.", r"\1.\2.", name): tensor for name, tensor in state.items()}
    assert "features.denseblock1.denselayer2.norm.1.running_var" in dotted
    modules = ported(build, reference), assemble(build, dotted, "dotted")
    wanted, found = (dict(nnx.to_flat_state(nnx.state(module))) for module in modules)
    assert set(found) == set(wanted)
    for path, value in found.items():
        np.testing.assert_array_equal(value[...], wanted[path][...])


def test_layers_and_their_other_names() -> None:
    build = densenet121()
    assert build.layers[:4] == ("relu0", "pool0", "denseblock1.denselayer1", "denseblock1.denselayer2")
    assert build.layers[-4:] == ("denseblock4", "norm5", "relu5", "avgpool")
    assert len(build.layers) == 2 + 6 + 12 + 24 + 16 + 4 + 3 + 3
    # As Brain-Score lists them, of torchvision's network and of Keras's.
    for name in ("pool0", "denseblock3.denselayer24", "norm5"):
        assert build.aliases[f"features.{name}"] == name
    assert build.aliases["features.transition3.pool"] == build.aliases["pool4_pool"] == "transition3"
    assert build.aliases["conv1/relu"] == "relu0"
    assert build.aliases["conv5_block16_concat"] == "denseblock4"
    assert build.aliases["avg_pool"] == "avgpool"
