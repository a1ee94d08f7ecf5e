"""LeViT, supervised on ImageNet-1k with distillation."""

from dataclasses import replace

from models.catalogue.common import IMAGENET, architecture
from models.spec import ModelSpec, Weights
from models.weights.sources import HubFile

_PREPROCESSING = replace(IMAGENET, interpolation="bicubic")
_CITATION = "Graham et al., LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference, ICCV 2021"


def _spec(width: int) -> ModelSpec:
    return ModelSpec(
        name=f"levit-{width}",
        summary=f"LeViT-{width} (timm), supervised on ImageNet-1k with distillation",
        preprocessing=_PREPROCESSING,
        port=architecture(f"levit:levit_{width}"),
        weights=Weights(HubFile(f"timm/levit_{width}.fb_dist_in1k"), "timm", "Apache-2.0"),
        citation=_CITATION,
    )


SPECS = [
    _spec(128),
    _spec(256),
    ModelSpec(
        name="levit-small",
        summary="LeViT-128 with one classifier, as among the models harmonized with human attention",
        preprocessing=_PREPROCESSING,
        port=architecture("levit:levit_small"),
        # The harmonized weights are public, but nobody publishes their digest: give the file with weights=PATH.
        weights=None,
        citation=_CITATION,
    ),
]
