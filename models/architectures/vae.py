"""A convolutional variational autoencoder (Kingma & Welling, ICLR 2014) of pictures of 64 pixels.

It has the layers that studies of disentanglement use (beta-VAE, Higgins et al., ICLR 2017; Locatello et al., ICML
2019): four 4x4 convolutions with stride 2 and 32, 32, 64, 64 channels, a product to 256, means and log-variances of 32
latents, and the way back with transposed convolutions. Nothing is drawn at random here: called as a whole, the latent
is its mean; in training it is drawn between ``encode`` and ``decode``.
"""

import jax
from flax import nnx

from models.parts.conv import Conv
from models.parts.conv_transpose import ConvTranspose
from models.parts.linear import Linear
from models.parts.pool import flatten_channels_first
from models.port import Port
from models.weights.naming import Naming

CHANNELS = (32, 32, 64, 64)
HIDDEN = 256
LATENTS = 32
SIDE = 4
"""Positions along either axis that the convolutions leave of 64 pixels."""


class VAE(nnx.Module):
    """Layers, each after its ReLU: ``encoder.0`` to ``encoder.3``, the convolutions, and ``encoder.4``, the product;
    ``mean`` and ``logvar``, of the latents; ``decoder.0`` and ``decoder.1``, products, and ``decoder.2`` to
    ``decoder.4``, transposed convolutions; and ``reconstruction``: images x 64 x 64 x 3, from 0 to 1.
    """

    def __init__(self, rngs: nnx.Rngs) -> None:
        flat = CHANNELS[-1] * SIDE * SIDE
        down = zip((3, *CHANNELS), CHANNELS, strict=False)
        self.encoder = nnx.List(
            [
                *(Conv(incoming, out, 4, rngs, stride=2, padding=1) for incoming, out in down),
                Linear(flat, HIDDEN, rngs),
            ]
        )
        self.mean = Linear(HIDDEN, LATENTS, rngs)
        self.logvar = Linear(HIDDEN, LATENTS, rngs)
        up = zip(CHANNELS[::-1], (*CHANNELS[-2::-1], 3), strict=True)
        self.decoder = nnx.List(
            [
                Linear(LATENTS, HIDDEN, rngs),
                Linear(HIDDEN, flat, rngs),
                *(ConvTranspose(incoming, out, 4, rngs, stride=2, padding=1) for incoming, out in up),
            ]
        )

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x 64 x 64 x 3) -> layer name -> images x ... ."""
        layers = self.encode(x)
        decoded, logits = self.decode(layers["mean"])
        return {**layers, **decoded, "reconstruction": jax.nn.sigmoid(logits)}

    def encode(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images -> the layers up to ``mean`` and ``logvar``, images x 32 each."""
        layers = {}
        *convolutions, product = self.encoder
        for place, convolution in enumerate(convolutions):
            layers[f"encoder.{place}"] = x = jax.nn.relu(convolution(x))
        layers[f"encoder.{len(convolutions)}"] = x = jax.nn.relu(product(flatten_channels_first(x)))
        layers["mean"], layers["logvar"] = self.mean(x), self.logvar(x)
        return layers

    def decode(self, latent: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Latents (images x 32) -> the layers of the decoder, and the pictures' logits, images x 64 x 64 x 3."""
        layers = {}
        hidden, wide, *transposed, picture = self.decoder
        layers["decoder.0"] = x = jax.nn.relu(hidden(latent))
        layers["decoder.1"] = x = jax.nn.relu(wide(x))
        x = x.reshape(len(x), -1, SIDE, SIDE).transpose(0, 2, 3, 1)  # channels first, as PyTorch flattens
        for place, convolution in enumerate(transposed, 2):
            layers[f"decoder.{place}"] = x = jax.nn.relu(convolution(x))
        return layers, picture(x)


def vae() -> Port:
    """A file of PyTorch (``torch``) names its tensors as the layers: ``encoder.0.weight`` to ``encoder.4.bias``,
    ``mean.*``, ``logvar.*``, ``decoder.0.*`` to ``decoder.5.*``; flattens channels first."""
    return Port(
        build=VAE,
        layers=(
            *(f"encoder.{place}" for place in range(len(CHANNELS) + 1)),
            "mean",
            "logvar",
            *(f"decoder.{place}" for place in range(len(CHANNELS) + 1)),
        ),
        readout="reconstruction",
        namings={"torch": Naming()},
    )
