"""VGG networks against PyTorch with the same random weights."""

import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from models.architectures.vgg import VGG19, port, vgg19_bn
from models.port import assemble
from models.weights.naming import Tensors
from tests.models.parity import check_layers, check_modules, images, ported, randomised, state_of
from tests.models.reference.vgg import VGG

STAGES, HIDDEN = ((8,), (8, 16), (16, 16)), 32


def network(*, norm: bool) -> VGG:
    return randomised(VGG(STAGES, HIDDEN, norm=norm))


def in_torchvision(aliases: dict[str, str]) -> dict[str, str]:
    """Layer -> the module of torchvision that it is said to equal."""
    return {layer: name for name, layer in aliases.items() if name.startswith(("features.", "classifier."))}


def same(module: nnx.Module, other: nnx.Module) -> None:
    mine, theirs = (dict(nnx.to_flat_state(nnx.state(each))) for each in (module, other))
    assert set(mine) == set(theirs)
    for path, value in mine.items():
        np.testing.assert_array_equal(value[...], theirs[path][...])


@pytest.mark.parametrize(("norm", "size"), [(False, 65), (True, 48)])
def test_each_module_on_the_same_input(norm: bool, size: int) -> None:
    reference = network(norm=norm)
    module = ported(port(STAGES, norm=norm, hidden=HIDDEN), reference)
    ours = {".".join(map(str, path)) for path, _ in nnx.iter_modules(module)}
    check_modules(module, reference, images(size), "|".join(name for name in ours if name[-1:].isdigit()))


@pytest.mark.parametrize(("norm", "size", "folded"), [(False, 64, False), (False, 65, False), (True, 65, True)])
def test_end_to_end(norm: bool, size: int, folded: bool) -> None:
    """The smaller pictures are averaged up to the grid of the first matrix product, the larger down."""
    reference, build = network(norm=norm), port(STAGES, norm=norm, hidden=HIDDEN)
    module = ported(build, reference, folded=folded)
    check_layers(module, reference, images(size), in_torchvision(dict(build.aliases)))


def test_layers_and_their_other_names() -> None:
    nineteen = port(VGG19)
    assert nineteen.layers[:4] == ("relu1_1", "relu1_2", "pool1", "relu2_1")
    assert nineteen.layers[-4:] == ("relu5_4", "pool5", "relu6", "relu7")
    assert len(nineteen.layers) == 16 + 5 + 2
    for other in ("conv5_4", "block5_conv4", "features.35"):
        assert nineteen.aliases[other] == "relu5_4"
    # As Brain-Score lists them, of torchvision's networks and of Keras's.
    pools = [f"pool{stage}" for stage in range(1, 6)]
    assert [vgg19_bn().aliases[f"features.{place}"] for place in (6, 13, 26, 39, 52)] == pools
    assert [nineteen.aliases[f"features.{place}"] for place in (4, 9, 18, 27, 36)] == pools
    assert [nineteen.aliases[f"block{stage}_pool"] for stage in range(1, 6)] == pools
    assert (nineteen.aliases["classifier.1"], nineteen.aliases["fc2"]) == ("relu6", "relu7")


def outputs_last(tensor: np.ndarray) -> np.ndarray:
    return tensor.transpose(*range(2, tensor.ndim), 1, 0)


def test_timm_holds_the_matrices_as_convolutions() -> None:
    reference, build = network(norm=True), port(STAGES, norm=True, hidden=HIDDEN)
    theirs: Tensors = {}
    for name, tensor in state_of(reference).items():
        for ours, changed, grid in (("0", "pre_logits.fc1", 7), ("3", "pre_logits.fc2", 1), ("6", "head.fc", 0)):
            if name == f"classifier.{ours}.weight" and grid:
                tensor = tensor.reshape(len(tensor), -1, grid, grid)
            name = name.replace(f"classifier.{ours}.", f"{changed}.")
        theirs[name] = tensor
    same(assemble(build, theirs, "timm's"), ported(build, reference))


def test_keras_flattens_channels_last() -> None:
    reference, build = network(norm=False), port(STAGES, hidden=HIDDEN)
    state = state_of(reference)
    first = state["classifier.0.weight"].reshape(HIDDEN, -1, 7, 7).transpose(0, 2, 3, 1).reshape(HIDDEN, -1)
    kernels = {"block1_conv1": "0", "block2_conv1": "3", "block2_conv2": "5", "block3_conv1": "8", "block3_conv2": "10"}
    theirs = {f"{name}.kernel": outputs_last(state[f"features.{place}.weight"]) for name, place in kernels.items()}
    theirs |= {f"{name}.bias": state[f"features.{place}.bias"] for name, place in kernels.items()}
    for name, place in {"fc1": "0", "fc2": "3", "predictions": "6"}.items():
        theirs[f"{name}.kernel"] = (first if name == "fc1" else state[f"classifier.{place}.weight"]).T
        theirs[f"{name}.bias"] = state[f"classifier.{place}.bias"]
    whole = assemble(build, theirs, "Keras's")
    same(whole, ported(build, reference))
    trunk = port(STAGES, classifier=False)
    same(assemble(trunk, theirs, "Keras's", "keras"), ported(trunk, reference))


def test_trunk_from_a_perceptual_metric() -> None:
    reference, trunk = network(norm=False), port(STAGES, classifier=False)
    state = state_of(reference)
    theirs = {"NetLinLayer_0.Conv_0.kernel": np.zeros((1, 1, 8, 1), np.float32)}
    for index, place in enumerate((0, 3, 5, 8, 10)):
        theirs[f"VGG16_0.Conv_{index}.kernel"] = outputs_last(state[f"features.{place}.weight"])
        theirs[f"VGG16_0.Conv_{index}.bias"] = state[f"features.{place}.bias"]
    module = assemble(trunk, theirs, "the metric's", "lpips")
    same(module, ported(trunk, reference))
    assert trunk.readout is None
    check_layers(module, reference, images(33), in_torchvision(dict(trunk.aliases)))
