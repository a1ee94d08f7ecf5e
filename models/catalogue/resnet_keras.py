"""ResNet-50 as keras-applications has it, and as harmonised with human attention."""

from models.catalogue.common import HARMONIZED, IMAGENET, architecture
from models.preprocessing import Preprocessing
from models.spec import ModelSpec, Weights
from models.weights.sources import PublicFile

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
_V2 = "He et al., Identity Mappings in Deep Residual Networks, ECCV 2016"

SPECS = [
    ModelSpec(
        name="resnet50-keras-v1",
        summary="ResNet-50 (keras-applications), supervised on ImageNet-1k",
        # of red, green, blue; the weights' own blue, green, red is dealt with where they are read
        preprocessing=Preprocessing(
            size=224, interpolation="bilinear", mean=(123.68, 116.779, 103.939), std=(1.0, 1.0, 1.0)
        ),
        port=architecture("resnet_keras:resnet50_v1"),
        weights=Weights(
            PublicFile(
                f"{_ADDRESS}resnet50_weights_tf_dim_ordering_tf_kernels.h5", md5="2cb95161c43110f7111970584f804107"
            ),
            names="keras",
            licence="MIT",
        ),
        citation="He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
    ),
    ModelSpec(
        name="resnet50-keras-v2",
        summary="ResNet-50 V2, pre-activation (keras-applications), supervised on ImageNet-1k",
        preprocessing=Preprocessing(
            size=224, interpolation="bilinear", mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)
        ),
        port=architecture("resnet_keras:resnet50_v2"),
        weights=Weights(
            PublicFile(
                f"{_ADDRESS}resnet50v2_weights_tf_dim_ordering_tf_kernels.h5", md5="3ef43a0b657b3be2300d5770ece849e0"
            ),
            names="keras",
            licence="MIT",
        ),
        citation=_V2,
    ),
    ModelSpec(
        name="resnet50-keras-v2-harmonized",
        summary="ResNet-50 V2, trained to attend where people do; weights=PATH of "
        "https://storage.googleapis.com/serrelab/prj_harmonization/models/resnet50v2_harmonized.h5",
        preprocessing=IMAGENET,
        port=architecture("resnet_keras:resnet50_v2"),
        weights=None,
        citation=HARMONIZED,
    ),
]
