"""Residual networks, supervised on ImageNet-1k."""

from dataclasses import replace

from models.catalogue.common import IMAGENET, architecture, torchvision
from models.preprocessing import Preprocessing
from models.spec import ModelSpec

_RESNET = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016"
_WIDE = "Zagoruyko & Komodakis, Wide Residual Networks, BMVC 2016"
_RESNEXT = "Xie et al., Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017"


def _spec(
    name: str, title: str, function: str, file: str, citation: str, preprocessing: Preprocessing = IMAGENET
) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"{title} (torchvision), supervised on ImageNet-1k",
        preprocessing=preprocessing,
        port=architecture(f"resnet:{function}"),
        weights=torchvision(file),
        citation=citation,
    )


SPECS = [
    _spec("resnet18", "ResNet-18", "resnet18", "resnet18-f37072fd.pth", _RESNET),
    _spec("resnet34", "ResNet-34", "resnet34", "resnet34-b627a593.pth", _RESNET),
    _spec("resnet50", "ResNet-50", "resnet50", "resnet50-0676ba61.pth", _RESNET),
    _spec(
        "resnet50-v2-recipe",
        "ResNet-50 by the longer recipe of 2021",
        "resnet50",
        "resnet50-11ad3fa6.pth",
        _RESNET,
        replace(IMAGENET, resize=232),
    ),
    _spec("resnet101", "ResNet-101", "resnet101", "resnet101-63fe2227.pth", _RESNET),
    _spec("resnet152", "ResNet-152", "resnet152", "resnet152-394f9c45.pth", _RESNET),
    _spec("wide-resnet50-2", "Wide ResNet-50-2", "wide_resnet50_2", "wide_resnet50_2-95faca4d.pth", _WIDE),
    _spec("resnext50-32x4d", "ResNeXt-50 32x4d", "resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth", _RESNEXT),
    _spec("resnext101-32x8d", "ResNeXt-101 32x8d", "resnext101_32x8d", "resnext101_32x8d-8ba56ff5.pth", _RESNEXT),
]
