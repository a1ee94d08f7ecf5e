"""ConvNeXt, supervised on ImageNet-1k."""

from models.catalogue.common import HARMONIZED, IMAGENET, architecture, torchvision
from models.spec import ModelSpec


def _spec(name: str, title: str, file: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"{title} (torchvision), supervised on ImageNet-1k",
        preprocessing=IMAGENET,
        port=architecture(f"convnext:{name.replace('-', '_')}"),
        weights=torchvision(file),
        citation="Liu et al., A ConvNet for the 2020s, CVPR 2022",
    )


SPECS = [
    _spec("convnext-tiny", "ConvNeXt-T", "convnext_tiny-983f1562.pth"),
    _spec("convnext-small", "ConvNeXt-S", "convnext_small-0c510722.pth"),
    _spec("convnext-base", "ConvNeXt-B", "convnext_base-6075fbad.pth"),
    _spec("convnext-large", "ConvNeXt-L", "convnext_large-ea097f82.pth"),
    ModelSpec(
        name="convnext-tiny-harmonized",
        summary="ConvNeXt-T, trained to attend where people do; weights=PATH of "
        "https://storage.googleapis.com/serrelab/prj_harmonization/models/convnext_tiny_harmonized.h5",
        preprocessing=IMAGENET,
        port=architecture("convnext:convnext_tiny"),
        weights=None,
        citation=HARMONIZED,
    ),
]
