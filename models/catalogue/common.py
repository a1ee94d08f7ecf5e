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

# torchvision's file names carry the first eight digits of their SHA-256. All digits, where others state them too:
WHOLE = {
    "alexnet-owt-7be5be79.pth": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "densenet121-a639ec97.pth": "a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395",
    "mobilenet_v3_large-8738ca79.pth": "8738ca797c879b547d18bbd15da5736ff2557b2036a9af72225393ca61759a04",
    "mobilenet_v3_small-047dcff4.pth": "047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f",
    "resnet18-f37072fd.pth": "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    "resnet34-b627a593.pth": "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    "resnet50-0676ba61.pth": "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    "swin_t-704ceda3.pth": "704ceda373461b0a224fcdddd75cd2a5e9f8064512ed47adbddef7f343fd147b",
    "vgg16-397923af.pth": "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "vgg16_bn-6c64b313.pth": "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a",
    "vgg19-dcbb9e9d.pth": "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    "vgg19_bn-c79401a0.pth": "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6",
    "vit_b_16-c867db91.pth": "c867db91d3e12c6cbadabb610d73c24a546bf82d8c03a9fea34f43a712ddb0e9",
}


HARMONIZED = (
    "Fel, Felipe, Linsley & Serre, Harmonizing the object recognition strategies of deep neural networks with humans, "
    "NeurIPS 2022"
)
"""Of the weights that nobody states a digest of, so that users bring them."""


def architecture(name: str) -> Callable[[], Port]:
    """``file:function`` of models.architectures, imported when called."""
    file, function = name.split(":")

    def port() -> Port:
        made: Port = getattr(import_module(f"models.architectures.{file}"), function)()
        return made

    return port


def torchvision(file: str) -> Weights:
    """Weights that torchvision publishes, pinned by as many digits of the SHA-256 as are known."""
    digits = WHOLE.get(file) or file.removesuffix(".pth").rsplit("-", 1)[1]
    return Weights(PublicFile(f"https://download.pytorch.org/models/{file}", digits), "torchvision", "BSD-3-Clause")
