"""Swin Transformer, supervised on ImageNet-1k."""

from dataclasses import replace

from models.catalogue.common import IMAGENET, architecture, torchvision
from models.spec import ModelSpec

SPECS = [
    ModelSpec(
        name="swin-tiny",
        summary="Swin-T, patches of 4 and windows of 7 (torchvision), supervised on ImageNet-1k",
        preprocessing=replace(IMAGENET, interpolation="bicubic"),
        port=architecture("swin:swin_tiny"),
        weights=torchvision("swin_t-704ceda3.pth"),
        citation="Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, ICCV 2021",
    ),
]
