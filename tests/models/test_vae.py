"""The variational autoencoder and its transposed convolution against PyTorch with the same random weights."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from engine.errors import InputError
from models import zoo
from models.architectures.vae import vae
from models.parts.conv_transpose import ConvTranspose
from models.parts.linear import Kernel
from tests.models.parity import (
    check_layers,
    check_modules,
    images,
    ours,
    ported,
    randomised,
    relative_error,
)
from tests.models.reference.vae import VAE

LAYERS = (*vae().layers, "reconstruction")


def after(layer: str, tensor: Any) -> Any:
    if layer == "reconstruction":
        return torch.sigmoid(tensor)
    return tensor if layer in ("mean", "logvar") else torch.relu(tensor)


@pytest.mark.parametrize("size", [64, 65])
def test_end_to_end(size: int) -> None:
    network = randomised(VAE())
    where = {layer: layer for layer in LAYERS} | {"reconstruction": "decoder.5"}
    check_layers(ported(vae(), network), network, images(size), where, after)


def test_each_module_on_the_same_input() -> None:
    network = randomised(VAE())
    check_modules(ported(vae(), network), network, images(64), r"encoder\.[034]|mean|decoder\.[1-5]")


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"), [(4, 2, 1, 4), (4, 2, 1, 5), (3, 2, 1, 4), (3, 1, 0, 5), (2, 2, 0, 3)]
)
def test_transposed_convolution(kernel: int, stride: int, padding: int, size: int) -> None:
    theirs = torch.nn.ConvTranspose2d(3, 5, kernel, stride, padding)
    # Without drawing initial weights, which would have to be compiled for every shape.
    mine = nnx.eval_shape(lambda: ConvTranspose(3, 5, kernel, nnx.Rngs(0), stride=stride, padding=padding))
    mine.weight = Kernel(jnp.asarray(theirs.weight.detach().permute(2, 3, 1, 0).numpy()))
    mine.bias = nnx.Param(jnp.asarray(theirs.bias.detach().numpy()))
    x = images(size)
    assert relative_error(jax.jit(mine)(ours(x)), theirs(x)) < 1e-6


def test_weights_are_the_users_to_give() -> None:
    with pytest.raises(InputError, match="no weights of 'vae' are pinned"):
        zoo.load("vae")
    assert zoo.layer_shapes("vae")["mean"] == (32,)
    assert zoo.parameter_count("vae") == sum(tensor.numel() for tensor in VAE().parameters())
