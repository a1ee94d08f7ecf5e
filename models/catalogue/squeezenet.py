"""SqueezeNet."""

from models.catalogue.common import IMAGENET, architecture, torchvision
from models.spec import ModelSpec


def _spec(version: str, function: str, file: str) -> ModelSpec:
    return ModelSpec(
        name=function.replace("_", "-"),
        summary=f"SqueezeNet {version} (torchvision), supervised on ImageNet-1k",
        preprocessing=IMAGENET,
        port=architecture(f"squeezenet:{function}"),
        weights=torchvision(file),
        citation="Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, "
        "arXiv:1602.07360, 2016",
    )


SPECS = [
    _spec("1.0", "squeezenet1_0", "squeezenet1_0-b66bff10.pth"),
    _spec("1.1", "squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
]
