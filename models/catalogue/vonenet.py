"""VOneNets. The authors' files have no published digest, so they are not fetched: give them as weights=PATH."""

from models.catalogue.common import architecture
from models.preprocessing import Preprocessing
from models.spec import ModelSpec

_HALF = (127.5, 127.5, 127.5)
_FROM_MINUS_1_TO_1 = Preprocessing(size=224, interpolation="bilinear", mean=_HALF, std=_HALF)
_CITATION = "Dapello, Marques et al., Simulating a primary visual cortex at the front of CNNs improves robustness to "
_CITATION += "image perturbations, NeurIPS 2020"
_FILES = "https://vonenet-models.s3.us-east-2.amazonaws.com"


def _spec(name: str, title: str, function: str, file: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"{title} without noise; the authors' weights are {_FILES}/{file}",
        preprocessing=_FROM_MINUS_1_TO_1,
        port=architecture(f"vonenet:{function}"),
        weights=None,
        citation=_CITATION,
    )


SPECS = [
    _spec("vone-resnet50", "V1 model before ResNet-50", "vone_resnet50", "voneresnet50_e70.pth.tar"),
    _spec("vone-cornet-s", "V1 model before CORnet-S", "vone_cornet_s", "vonecornets_e70.pth.tar"),
]
