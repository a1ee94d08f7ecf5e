"""What the entries of many models share."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from models.preprocessing import Preprocessing
from models.spec import Weights
from models.weights.sources import PublicFile

if TYPE_CHECKING:
    from models.port import Port

IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

IMAGENET = Preprocessing(size=224, interpolation="bilinear", mean=IMAGENET_MEAN, std=IMAGENET_STD)
"""torchvision's classic input: 224 pixels, the per-channel mean and deviation of ImageNet."""


def architecture(name: str) -> Callable[[], Port]:
    """``file:function`` of models.architectures, imported when called."""
    file, function = name.split(":")

    def port() -> Port:
        made: Port = getattr(import_module(f"models.architectures.{file}"), function)()
        return made

    return port


def torchvision(file: str) -> Weights:
    """Weights that torchvision publishes; its file names carry the first eight digits of the SHA-256."""
    digits = file.removesuffix(".pth").rsplit("-", 1)[1]
    return Weights(PublicFile(f"https://download.pytorch.org/models/{file}", digits), "torchvision", "BSD-3-Clause")
