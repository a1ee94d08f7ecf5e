"""CORnets, supervised on ImageNet-1k."""

from models.catalogue.common import IMAGENET, architecture
from models.spec import ModelSpec, Weights
from models.weights.sources import PublicFile

_CORNET = "Kubilius, Schrimpf, Nayebi, Bear, Yamins & DiCarlo, CORnet: Modeling the neural mechanisms of core object "
_CORNET += "recognition, bioRxiv 408385, 2018"
_CORNET_S = "Kubilius, Schrimpf et al., Brain-like object recognition with high-performing shallow recurrent ANNs, "
_CORNET_S += "NeurIPS 2019"


def _spec(name: str, summary: str, function: str, file: str, citation: str) -> ModelSpec:
    """The file's name ends in the first eight digits of its SHA-256."""
    digits = file.removesuffix(".pth").rsplit("-", 1)[1]
    return ModelSpec(
        name=name,
        summary=f"{summary}, supervised on ImageNet-1k",
        preprocessing=IMAGENET,
        port=architecture(function),
        weights=Weights(
            PublicFile(f"https://s3.amazonaws.com/cornet-models/{file}", digits), "original", "GPL-3.0-or-later"
        ),
        citation=citation,
    )


SPECS = [
    _spec("cornet-z", "CORnet-Z (feedforward)", "cornet:cornet_z", "cornet_z-5c427c9c.pth", _CORNET),
    _spec("cornet-rt", "CORnet-RT (recurrent)", "cornet:cornet_rt", "cornet_rt-933c001c.pth", _CORNET),
    _spec("cornet-s", "CORnet-S (recurrent)", "cornet_s:cornet_s", "cornet_s-1d3f7974.pth", _CORNET_S),
]
