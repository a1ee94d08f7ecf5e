"""AlexNet as torchvision has it (Krizhevsky, arXiv:1404.5997), whole or as its convolutional trunk."""

import jax
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.pool import adaptive_average_pool, flatten_channels_first, max_pool
from models.port import Port
from models.weights.naming import Naming

# Place in torchvision's ``features``: in, out, kernel, stride, padding; then whether a 3x3 maximum, stride 2, follows.
CONVOLUTIONS = {
    0: (3, 64, 11, 4, 2, True),
    3: (64, 192, 5, 1, 2, True),
    6: (192, 384, 3, 1, 1, False),
    8: (384, 256, 3, 1, 1, False),
    10: (256, 256, 3, 1, 1, True),
}
# Place in torchvision's ``classifier``: in, out.
PRODUCTS = {1: (256 * 6 * 6, 4096), 4: (4096, 4096), 6: (4096, 1000)}


class AlexNet(nnx.Module):
    """Layers: ``relu1`` to ``relu5`` after each convolution, ``pool1``, ``pool2``, ``pool5`` after each maximum,
    ``relu6`` and ``relu7`` after the first two matrix products, ``logits`` after the third."""

    def __init__(self, rngs: nnx.Rngs, *, classifier: bool) -> None:
        self.features: nnx.Dict[Conv] = nnx.Dict()
        for place, (incoming, out, kernel, stride, padding, _) in CONVOLUTIONS.items():
            self.features[str(place)] = Conv(incoming, out, kernel, rngs, stride=stride, padding=padding)
        self.classifier: nnx.Dict[Linear] = nnx.Dict()
        for place, (incoming, out) in PRODUCTS.items() if classifier else ():
            self.classifier[str(place)] = Linear(incoming, out, rngs)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {}
        for number, (place, (*_, pooled)) in enumerate(CONVOLUTIONS.items(), 1):
            layers[f"relu{number}"] = x = jax.nn.relu(self.features[str(place)](x))
            if pooled:
                layers[f"pool{number}"] = x = max_pool(x, 3, 2)
        if len(self.classifier):
            x = flatten_channels_first(adaptive_average_pool(x, 6))
            layers["relu6"] = x = jax.nn.relu(self.classifier["1"](x))
            layers["relu7"] = x = jax.nn.relu(self.classifier["4"](x))
            layers["logits"] = self.classifier["6"](x)
        return layers


_TRUNK = ("relu1", "pool1", "relu2", "pool2", "relu3", "relu4", "relu5", "pool5")
_TRUNK_ALIASES = {f"features.{place}": name for place, name in zip((1, 2, 4, 5, 7, 9, 11, 12), _TRUNK, strict=True)}

# A perceptual metric's file, written by Flax with kernels laid out as ours; it also holds the metric's linear heads.
_LPIPS = Naming(
    rename=(
        *((rf"^AlexNet_0\.Conv_{number}\.", f"features.{place}.") for number, place in enumerate(CONVOLUTIONS)),
        (r"\.kernel$", ".weight"),
    ),
    ignore=r"NetLinLayer_\d\..*",
    outputs_first=False,
)


def alexnet() -> Port:
    """61,100,840 parameters."""
    return Port(
        build=lambda rngs: AlexNet(rngs, classifier=True),
        layers=(*_TRUNK, "relu6", "relu7"),
        readout="logits",
        namings={"torchvision": Naming()},
        aliases={**_TRUNK_ALIASES, "classifier.2": "relu6", "classifier.5": "relu7", "classifier.6": "logits"},
        images_at_once=16,  # the matrix products are as fast as their weights can be read
    )


def trunk() -> Port:
    """AlexNet up to the last pooling: 2,469,696 parameters."""
    return Port(
        build=lambda rngs: AlexNet(rngs, classifier=False),
        layers=_TRUNK,
        namings={"lpips": _LPIPS, "torchvision": Naming(ignore=r"classifier\..*")},
        aliases=_TRUNK_ALIASES,
    )
