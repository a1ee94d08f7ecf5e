"""Keras's residual networks against PyTorch with the same random weights, through a file as Keras writes it."""

from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

torch = pytest.importorskip("torch")

from engine.errors import InputError
from models.architectures.resnet_keras import port_v1, port_v2
from models.parts.norm import fold
from models.port import Port, assemble
from models.weights.files import read_tensors
from tests.models.parity import check_layers, check_modules, images, randomised
from tests.models.reference.resnet_keras import ResNet, keras_file, keras_layers

# First and last blocks of a stage that halves the picture and of one that does not, and a block between them.
DEPTHS, WIDTH = (2, 3), 8
PORTS = {1: port_v1(DEPTHS, width=WIDTH), 2: port_v2(DEPTHS, width=WIDTH)}


def reference(version: int) -> ResNet:
    return randomised(ResNet(version, DEPTHS, WIDTH))


def loaded(port: Port, network: ResNet, *, folded: bool) -> nnx.Module:
    module = assemble(port, read_tensors(keras_file(network), "file.h5"), "file.h5", "keras")
    if folded:
        fold(module)
    return module


@pytest.mark.parametrize(("version", "size", "folded"), [(1, 33, True), (2, 64, False)])
def test_each_module_on_the_same_input(version: int, size: int, folded: bool) -> None:
    network = reference(version)
    pattern = r"conv\d_block\d|post_bn|predictions" + ("" if folded else r"|conv2_block1\.(conv\d|bn\d|preact_bn)")
    check_modules(loaded(PORTS[version], network, folded=folded), network, images(size), pattern)


@pytest.mark.parametrize(("version", "size", "folded"), [(1, 64, False), (2, 65, True)])
def test_end_to_end(version: int, size: int, folded: bool) -> None:
    network, port = reference(version), PORTS[version]
    where = {layer: layer.removesuffix("_out") for layer in (*port.layers, str(port.readout))}

    def flattened(layer: str, tensor: Any) -> Any:
        return tensor.flatten(1) if layer == "avg_pool" else tensor

    check_layers(loaded(port, network, folded=folded), network, images(size), where, flattened)


def test_names_of_the_first_version_of_keras() -> None:
    """With the slashes of an .h5 file, out of which somebody took the tensors."""
    network = reference(1)
    old = {}
    for layer, tensors in keras_layers(network).items():
        block, _, rest = layer.partition("_block")
        if layer.startswith("conv1"):
            name = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}[layer]
        elif rest:
            index, number, kind = rest.split("_")
            branch = "1" if number == "0" else "2" + "abc"[int(number) - 1]
            name = f"{'res' if kind == 'conv' else 'bn'}{block[-1]}{'abc'[int(index) - 1]}_branch{branch}"
        else:
            name = "fc1000"
        old |= {f"{name}/{leaf}": np.ascontiguousarray(tensor) for leaf, tensor in tensors.items()}
    assert {"conv1/kernel", "bn_conv1/moving_variance", "res3c_branch2b/bias", "bn2a_branch1/gamma"} < set(old)
    module = assemble(PORTS[1], read_tensors(safetensors.numpy.save(old), "old"), "old")
    wanted = loaded(PORTS[1], network, folded=False)
    assert jax.tree.all(
        jax.tree.map(np.array_equal, nnx.to_pure_dict(nnx.state(module)), nnx.to_pure_dict(nnx.state(wanted)))
    )


def test_first_kernel_of_the_wrong_shape_is_listed() -> None:
    tensors = read_tensors(keras_file(reference(1)), "file.h5") | {"conv1_conv.kernel": np.zeros((7, 7))}
    with pytest.raises(InputError, match=r"in 1 place\(s\), .*wrong shape: conv1_conv"):
        assemble(PORTS[1], tensors, "file.h5")
