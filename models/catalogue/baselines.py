"""Models without weights, which every other should beat."""

from models.catalogue.common import architecture
from models.preprocessing import Preprocessing
from models.spec import ModelSpec

_FROM_0_TO_1 = Preprocessing(size=224, interpolation="bilinear", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))

SPECS = [
    ModelSpec(
        name="pixels",
        summary="the picture itself, in colour and grey",
        preprocessing=_FROM_0_TO_1,
        port=architecture("pixels:pixels"),
        weights=None,
        citation="none",
    ),
    ModelSpec(
        name="gabor",
        summary="Gabor wavelet pyramid: simple and complex cells of V1",
        preprocessing=_FROM_0_TO_1,
        port=architecture("gabor:gabor"),
        weights=None,
        citation="Kay, Naselaris, Prenger & Gallant, Identifying natural images from human brain activity, "
        "Nature 452, 2008",
    ),
]
