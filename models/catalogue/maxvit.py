"""MaxViT, supervised on ImageNet-1k."""

from dataclasses import replace

from models.catalogue.common import IMAGENET, architecture, torchvision
from models.spec import ModelSpec

SPECS = [
    ModelSpec(
        name="maxvit-tiny",
        summary="MaxViT-T (torchvision), supervised on ImageNet-1k",
        preprocessing=replace(IMAGENET, interpolation="bicubic"),
        port=architecture("maxvit:maxvit_tiny"),
        weights=torchvision("maxvit_t-bc5ab103.pth"),
        citation="Tu et al., MaxViT: Multi-Axis Vision Transformer, ECCV 2022",
    ),
]
