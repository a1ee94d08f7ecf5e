"""Densely connected networks."""

from models.catalogue.common import IMAGENET, architecture, torchvision
from models.spec import ModelSpec


def _spec(depth: int, file: str) -> ModelSpec:
    return ModelSpec(
        name=f"densenet{depth}",
        summary=f"DenseNet-{depth} (torchvision), supervised on ImageNet-1k",
        preprocessing=IMAGENET,
        port=architecture(f"densenet:densenet{depth}"),
        weights=torchvision(file),
        citation="Huang et al., Densely Connected Convolutional Networks, CVPR 2017",
    )


SPECS = [
    _spec(121, "densenet121-a639ec97.pth"),
    _spec(169, "densenet169-b2777c0a.pth"),
    _spec(201, "densenet201-c1103571.pth"),
]
