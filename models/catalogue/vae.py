"""Variational autoencoder."""

from models.catalogue.common import architecture
from models.preprocessing import Preprocessing
from models.spec import ModelSpec

SPECS = [
    ModelSpec(
        name="vae",
        summary="convolutional variational autoencoder of 64 pixels with 32 latents; train it by 'corticalign pretrain "
        "objective=vae' or bring your own weights",
        preprocessing=Preprocessing(size=64, interpolation="bilinear", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)),
        port=architecture("vae:vae"),
        weights=None,
        citation="Higgins et al., beta-VAE: Learning basic visual concepts with a constrained variational framework, "
        "ICLR 2017",
    ),
]
