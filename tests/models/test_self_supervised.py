"""Weights that share ResNet-50, as each training code names and wraps them; and TensorFlow's padding.

The names are those of facebookresearch/moco (moco/builder.py, main_moco.py), facebookresearch/swav (src/resnet50.py,
hubconf.py), facebookresearch/vissl (extra_scripts/convert_vissl_to_torchvision.py) and MadryLab/robustness
(attacker.py, train.py).
"""

import io
import math
from typing import Any

import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from torch.nn import functional

from engine.errors import InputError
from models.architectures.resnet import Basic, Bottleneck, port
from models.port import assemble
from models.weights.files import read_tensors
from tests.models.parity import check_layers, images, ported, randomised
from tests.models.reference.resnet import ResNet

DEPTHS = (2, 1, 1, 1)
# Names do not depend on the kind of block; the smaller one saves time.
TRUNK = port(Basic, DEPTHS, classifier=False)
WHOLE = port(Basic, DEPTHS)

State = dict[str, Any]


@pytest.fixture(scope="module")
def network() -> Any:
    return randomised(ResNet(DEPTHS, 1))


@pytest.fixture(scope="module")
def state(network: Any) -> State:
    return dict(network.state_dict())


def without_classifier(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def other(state: State) -> State:
    """Tensors of the same names that must not be taken."""
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


def optimiser() -> dict[str, object]:
    """An optimiser after one step, as it is saved."""
    parameter = torch.nn.Parameter(torch.ones(3))
    sgd = torch.optim.SGD([parameter], 0.1, momentum=0.9)
    parameter.sum().backward()
    sgd.step()
    return sgd.state_dict()


def moco(state: State) -> object:
    head = {"fc.0.weight": torch.ones(8, 8), "fc.0.bias": torch.ones(8), "fc.2.weight": torch.ones(4, 8)}
    encoder = without_classifier(state)
    whole = under("encoder_q.", encoder | head) | under("encoder_k.", other(encoder) | head)
    whole |= {"queue": torch.ones(4, 16), "queue_ptr": torch.zeros(1, dtype=torch.long)}
    return {"epoch": 800, "arch": "resnet50", "state_dict": under("module.", whole), "optimizer": optimiser()}


def swav(state: State) -> object:
    head = {f"projection_head.{index}.weight": torch.ones(4, 4) for index in (0, 3)}
    head |= {f"projection_head.1.{name}": torch.ones(4) for name in ("weight", "bias", "running_mean", "running_var")}
    head |= {"projection_head.1.num_batches_tracked": torch.tensor(1), "prototypes.weight": torch.ones(9, 4)}
    return under("module.", without_classifier(state) | head)


def vissl(state: State) -> object:
    trunk = under("_feature_blocks.", without_classifier(state))
    model = {"trunk": trunk, "heads": {"0.clf.0.weight": torch.ones(4, 4)}}
    task = {"base_model": {"model": model, "meta": {}}, "optimizer": {"optim": optimiser(), "param_schedulers": {}}}
    return {"phase_idx": 799, "iteration": 1, "loss": {"temperature": torch.ones(1)}, "classy_state_dict": task}


def barlow_twins(state: State) -> object:
    return without_classifier(state)


def simclr(state: State) -> object:
    """As converted from TensorFlow, whose classifier is of no use here."""
    return {"state_dict": state}


def byol(state: State) -> object:
    """As converted from Haiku: without counts of batches."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def robust(state: State) -> object:
    normalizer = {"new_mean": torch.ones(3, 1, 1), "new_std": torch.ones(3, 1, 1)}
    attacker = under("normalize.", normalizer) | under("model.", other(state))
    model = under("normalizer.", normalizer) | under("model.", state) | under("attacker.", attacker)
    rest = {"optimizer": optimiser(), "schedule": {"step_size": 30}, "epoch": 90, "amp": "N/A", "nat_prec1": 62.8}
    return {"model": under("module.", model), **rest}


def read(saved: object) -> dict[str, np.ndarray]:
    stream = io.BytesIO()
    torch.save(saved, stream)
    return read_tensors(stream.getvalue(), "file.pth")


def same(module: nnx.Module, wanted: nnx.Module) -> bool:
    found, expected = (dict(nnx.to_flat_state(nnx.state(each))) for each in (module, wanted))
    return found.keys() == expected.keys() and all(
        np.array_equal(found[path][...], expected[path][...]) for path in found
    )


@pytest.mark.parametrize(
    ("names", "save"),
    [
        ("moco", moco),
        ("swav", swav),
        ("vissl", vissl),
        ("torchvision", barlow_twins),
        ("torchvision", simclr),
        ("torchvision", byol),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_trunk(names: str, save: Any, network: Any, state: State) -> None:
    """As told, and found out by itself."""
    tensors, wanted = read(save(state)), ported(TRUNK, network)
    assert same(assemble(TRUNK, tensors, "file.pth", names), wanted)
    assert same(assemble(TRUNK, tensors, "file.pth"), wanted)


def test_robust_network_without_its_adversary(network: Any, state: State) -> None:
    assert same(assemble(WHOLE, read(robust(state)), "file.ckpt", "torchvision"), ported(WHOLE, network))


def flattened(layer: str, tensor: Any) -> Any:
    return tensor.flatten(1) if layer == "avgpool" else tensor


def test_network_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(depths=DEPTHS, num_labels=1000)
    network = randomised(transformers.ResNetForImageClassification(config))
    whole, trunk = port(Bottleneck, DEPTHS), port(Bottleneck, DEPTHS, classifier=False)
    where = {"relu": "resnet.embedder.embedder", "maxpool": "resnet.embedder"}
    for stage, depth in enumerate(DEPTHS):
        where |= {f"layer{stage + 1}.{i}": f"resnet.encoder.stages.{stage}.layers.{i}" for i in range(depth)}
    where |= {"avgpool": "resnet.pooler", "fc": "classifier"}
    check_layers(ported(whole, network, "hf", folded=True), network, images(33), where, flattened)
    assert same(ported(trunk, network), ported(trunk, network.resnet, "hf"))


def test_a_missing_tensor_of_moco_is_named(state: State) -> None:
    tensors = read(moco(state))
    del tensors["encoder_q.conv1.weight"]
    with pytest.raises(InputError, match=r"in 1 place\(s\), read as moco: missing: conv1\.weight"):
        assemble(TRUNK, tensors, "file.pth")


def after_tensorflow(network: Any, *, convolutions: bool) -> Any:
    """The same modules with SAME padding of TensorFlow: ceil(size / stride) outputs, the odd zero last."""

    def padded(x: Any, kernel: int, stride: int, value: float) -> Any:
        total = [max((math.ceil(size / stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:]]
        rows, columns = ((each // 2, each - each // 2) for each in total)
        return functional.pad(x, (*columns, *rows), value=value)

    for module in network.modules():
        if isinstance(module, torch.nn.MaxPool2d):
            module.padding = 0
            module.register_forward_pre_hook(lambda _, given: padded(given[0], 3, 2, -math.inf))
        if convolutions and isinstance(module, torch.nn.Conv2d) and module.kernel_size[0] > 1:
            module.padding = (0, 0)
            kernel, stride = module.kernel_size[0], module.stride[0]
            module.register_forward_pre_hook(lambda _, given, k=kernel, s=stride: padded(given[0], k, s, 0.0))
    return network


@pytest.mark.parametrize(("size", "convolutions"), [(64, False), (50, True)])
def test_padding_of_tensorflow(size: int, convolutions: bool) -> None:
    network = after_tensorflow(randomised(ResNet(DEPTHS, 4)), convolutions=convolutions)
    trunk = port(Bottleneck, DEPTHS, classifier=False, same_pool=True, same_convolutions=convolutions)
    module = ported(trunk, network, folded=True)
    check_layers(module, network, images(size), {layer: layer for layer in trunk.layers}, flattened)
