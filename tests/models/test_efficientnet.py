"""EfficientNet and EfficientNet-Lite against the same networks in PyTorch, with random weights."""

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from engine.errors import InputError
from models.port import Port, assemble

torch = pytest.importorskip("torch")

from models.architectures.efficientnet import Stage, lite0, plan, port
from tests.models.parity import check_layers, check_modules, images, ported, randomised, state_of
from tests.models.reference.inverted_residual import (
    ORIGINAL,
    TIMM,
    Kind,
    Named,
    Spec,
    Torchvision,
    flattened,
)

# Every kind of block that the full table repeats: with and without expansion, stride and residual, 3x3 and 5x5.
STAGES = (Stage(1, 3, 1, 1, 16), Stage(2, 5, 2, 6, 24), Stage(1, 3, 2, 6, 40))


def kind(*, lite: bool = False, tensorflow: bool = False) -> Kind:
    """The same table, channels and squeezes (a quarter of the block's input) worked out by hand."""
    activation = torch.nn.ReLU6 if lite else torch.nn.SiLU
    rows = (
        ((32, 32, 16, 3, 1, 8),),
        ((16, 96, 24, 5, 2, 4), (24, 144, 24, 5, 1, 6)),
        ((24, 144, 40, 3, 2, 6),),
    )
    stages = tuple(
        tuple(Spec(*sizes, 0 if lite else squeezed, activation) for *sizes, squeezed in stage) for stage in rows
    )
    epsilon = 1e-3 if tensorflow else 1e-5
    return Kind(stages, 1280, activation, epsilon, tensorflow, squeeze=torch.nn.SiLU)


def small(*, lite: bool = False, tensorflow: bool = False) -> Port:
    return port(plan(lite=lite, tensorflow=tensorflow, stages=STAGES))


@pytest.fixture(scope="module")
def lite() -> Any:
    return randomised(Named(kind(lite=True, tensorflow=True), ORIGINAL))


@pytest.mark.parametrize(
    ("form", "size", "folded"), [({}, 65, False), ({"lite": True, "tensorflow": True}, 64, True)], ids=["swish", "lite"]
)
def test_each_module_on_the_same_input(form: dict[str, bool], size: int, folded: bool) -> None:
    network = randomised(Named(kind(**form), TIMM))
    pattern = r"blocks\.\d\.\d(\.se)?|classifier" if folded else r"conv_stem|bn2|blocks\.\d\.\d(\.se)?|conv_head"
    check_modules(ported(small(**form), network, "timm", folded=folded), network, images(size), pattern)


def test_end_to_end_with_torchvision_names() -> None:
    network = randomised(Torchvision(kind(), "stages"))
    check_layers(ported(small(), network, folded=True), network, images(64), network.where(), flattened)


@pytest.mark.parametrize("size", [64, 65])
@pytest.mark.parametrize("platform", ["cpu", "default"])
def test_lite_end_to_end(platform: str, size: int, lite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the form for CPUs and in the one for accelerators, both run here."""
    monkeypatch.setattr("jax.lax.platform_dependent", lambda *args, **forms: forms[platform](*args))
    module = ported(small(lite=True, tensorflow=True), lite, folded=True)
    check_layers(module, lite, images(size), lite.where(), flattened)


def test_tensorflow_padding_with_squeezes_and_original_names() -> None:
    network = randomised(Named(kind(tensorflow=True), ORIGINAL))
    module = ported(small(tensorflow=True), network, "original")
    check_layers(module, network, images(64), network.where(), flattened)


def in_keras(name: str, tensor: np.ndarray) -> tuple[str, np.ndarray]:
    """A tensor of ``TIMM`` as Keras has it."""
    *path, module, leaf = name.split(".")
    if path[:1] == ["blocks"]:
        stage, place, *_ = path[1:]
        separable = stage == "0"
        theirs = {
            "conv_pw": "project_conv" if separable else "expand_conv",
            "bn1": "bn" if separable else "expand_bn",
            "conv_dw": "dwconv",
            "bn2": "project_bn" if separable else "bn",
            "conv_reduce": "se_reduce",
            "conv_expand": "se_expand",
            "conv_pwl": "project_conv",
            "bn3": "project_bn",
        }[module]
        module_name = f"block{int(stage) + 1}{'abcd'[int(place)]}_{theirs}"
    else:
        outside = {"conv_stem": "stem_conv", "bn1": "stem_bn", "conv_head": "top_conv", "bn2": "top_bn"}
        module_name = outside.get(module, "probs")
    if module == "conv_dw":
        return f"{module_name}.depthwise_kernel", tensor.transpose(2, 3, 0, 1)
    if tensor.ndim == 4:
        return f"{module_name}.kernel", tensor.transpose(2, 3, 1, 0)
    if tensor.ndim == 2:
        return f"{module_name}.kernel", tensor.T
    norm = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    return f"{module_name}.{norm[leaf] if module.startswith('bn') else leaf}", tensor


def test_keras_names_fill_the_same_parameters() -> None:
    network = randomised(Named(kind(tensorflow=True), TIMM))
    state = {name: tensor for name, tensor in state_of(network).items() if not name.endswith("num_batches_tracked")}
    keras = dict(in_keras(name, tensor) for name, tensor in state.items())
    assert len(keras) == len(state)
    filled = assemble(small(tensorflow=True), keras, "random weights", "keras")
    wanted = ported(small(tensorflow=True), network, "timm")
    jax.tree.map(np.testing.assert_array_equal, nnx.state(filled), nnx.state(wanted))


def test_weights_that_do_not_fit_are_all_listed() -> None:
    network = Named(kind(lite=True, tensorflow=True), ORIGINAL)
    tensors = state_of(network)
    del tensors["_blocks.3._depthwise_conv.weight"]
    tensors["_blocks.16._project_conv.weight"] = np.zeros((320, 1152, 1, 1), np.float32)
    tensors["_fc.weight"] = np.zeros((10, 1280), np.float32)
    with pytest.raises(InputError) as error:
        assemble(small(lite=True, tensorflow=True), tensors, "lite.pth")
    for problem in (
        "missing: blocks.2.0.conv_dw.weight (144, 1, 3, 3)",
        "unexpected: _blocks.16._project_conv.weight (320, 1152, 1, 1)",
        "wrong shape: _fc.weight is (10, 1280), wanted (1000, 1280)",
        "3 place(s)",
        "read as original",
    ):
        assert problem in str(error.value)


def test_layers_keep_their_names() -> None:
    """Results are stored under them."""
    network = lite0()
    assert network.layers == ("stem", *(f"block{number}" for number in range(16)), "head", "avgpool")
    assert network.readout == "logits"
    assert network.aliases["blocks.1.1"] == network.aliases["blocks.1"] == network.aliases["_blocks.2"] == "block2"
    keras = {"block2a_project_bn": "block1", "block2b_add": "block2", "top_activation": "head"}
    assert network.aliases.items() >= keras.items()
    torchvision = {"features.1": "block0", "features.2": "block2", "features.3.0": "block3", "features.4": "head"}
    assert small().aliases.items() >= torchvision.items()
