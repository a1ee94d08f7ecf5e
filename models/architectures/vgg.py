"""VGG networks as torchvision has them (Simonyan & Zisserman, ICLR 2015), with and without batch normalisation.

Layers: ``relu1_1``, ``relu1_2`` ... after the ReLU of each convolution, ``pool1`` to ``pool5`` after the maximum that
ends a stage, ``relu6`` and ``relu7`` after the ReLUs of the first two matrix products; readout ``logits``. In the
original (Caffe) network the ReLU works in place, so that its ``conv1_1`` and ``fc6`` are these points as well.
"""

from collections.abc import Callable, Mapping

import jax
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import BatchNorm
from models.parts.pool import adaptive_average_pool, flatten_channels_first, max_pool
from models.port import Port
from models.weights.naming import Naming, Tensors

Stages = tuple[tuple[int, ...], ...]
"""Channels of each 3x3 convolution of each stage; a 2x2 maximum ends a stage."""

VGG11: Stages = ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2)
VGG13: Stages = ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2)
VGG16: Stages = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
VGG19: Stages = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)

# Side of the picture that the first matrix product sees; what is larger or smaller is averaged to it.
GRID = 7

# torchvision's, timm's and Keras's name of each matrix product.
_PRODUCTS = (
    ("classifier.0", "pre_logits.fc1", "fc1"),
    ("classifier.3", "pre_logits.fc2", "fc2"),
    ("classifier.6", "head.fc", "predictions"),
)
_HEAD = r"(classifier|pre_logits|head|fc1|fc2|predictions|NetLinLayer_\d)\..*"


def _places(stages: Stages, norm: bool) -> dict[str, int]:
    """Layer -> its place in torchvision's ``features``, in forward order."""
    places, place = {}, -1
    for stage, widths in enumerate(stages, 1):
        for index, _ in enumerate(widths, 1):
            place += 3 if norm else 2  # the convolution, its normalisation, its ReLU
            places[f"relu{stage}_{index}"] = place
        place += 1
        places[f"pool{stage}"] = place
    return places


def _halved(x: jax.Array) -> jax.Array:
    return max_pool(x, 2, 2)


class VGG(nnx.Module):
    """``features`` has at each place what torchvision's has there."""

    def __init__(self, stages: Stages, rngs: nnx.Rngs, *, norm: bool, classifier: bool, hidden: int) -> None:
        steps: list[Callable[[jax.Array], jax.Array]] = []
        incoming = 3
        for widths in stages:
            for width in widths:
                steps.append(Conv(incoming, width, 3, rngs, padding=1))
                steps += [BatchNorm(width), jax.nn.relu] if norm else [jax.nn.relu]
                incoming = width
            steps.append(_halved)
        self.features = nnx.List(steps)
        self.names = tuple(_places(stages, norm))
        self.classifier: nnx.Dict[Linear] = nnx.Dict()
        if classifier:
            self.classifier["0"] = Linear(incoming * GRID**2, hidden, rngs)
            self.classifier["3"] = Linear(hidden, hidden, rngs)
            self.classifier["6"] = Linear(hidden, 1000, rngs)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers, names = {}, iter(self.names)
        for step in self.features:
            x = step(x)
            if not isinstance(step, nnx.Module):  # a ReLU or a maximum
                layers[next(names)] = x
        if len(self.classifier):
            x = flatten_channels_first(adaptive_average_pool(x, GRID))
            layers["relu6"] = x = jax.nn.relu(self.classifier["0"](x))
            layers["relu7"] = x = jax.nn.relu(self.classifier["3"](x))
            layers["logits"] = self.classifier["6"](x)
        return layers


def port(stages: Stages, *, norm: bool = False, classifier: bool = True, hidden: int = 4096) -> Port:
    """A network of the family; the first two matrix products have ``hidden`` outputs."""
    places = _places(stages, norm)
    return Port(
        build=lambda rngs: VGG(stages, rngs, norm=norm, classifier=classifier, hidden=hidden),
        layers=(*places, *(("relu6", "relu7") if classifier else ())),
        readout="logits" if classifier else None,
        namings=_namings(places, norm, classifier),
        aliases=_aliases(places, classifier),
    )


def _aliases(places: Mapping[str, int], classifier: bool) -> dict[str, str]:
    aliases = {f"features.{place}": layer for layer, place in places.items()}
    aliases |= {_in_keras(layer): layer for layer in places}
    aliases |= {layer.replace("relu", "conv"): layer for layer in places if layer.startswith("relu")}
    if classifier:
        aliases |= {"classifier.1": "relu6", "classifier.4": "relu7", "classifier.6": "logits"}
        aliases |= {"fc1": "relu6", "fc2": "relu7", "fc6": "relu6", "fc7": "relu7", "fc8": "logits"}
    return aliases


def _in_keras(layer: str) -> str:
    """``relu1_2`` -> ``block1_conv2``, ``pool1`` -> ``block1_pool``."""
    stage, _, index = layer[4:].partition("_")
    return f"block{stage}_conv{index}" if index else f"block{stage}_pool"


def _namings(places: Mapping[str, int], norm: bool, classifier: bool) -> dict[str, Naming]:
    ignore = Naming.ignore if classifier else f"{Naming.ignore}|{_HEAD}"
    timm = tuple((rf"^{theirs}\.", f"{ours}.") for ours, theirs, _ in _PRODUCTS)
    namings = {
        "torchvision": Naming(ignore=ignore),
        "timm": Naming(rename=timm, ignore=ignore, convert=_as_matrices),
    }
    if norm:  # there are no other files
        return namings
    # Kernels laid out as ours.
    convolutions = {layer: f"features.{place - 1}." for layer, place in places.items() if layer.startswith("relu")}
    keras = [(rf"^{_in_keras(layer)}\.", conv) for layer, conv in convolutions.items()]
    keras += [(rf"^{theirs}\.", f"{ours}.") for ours, _, theirs in _PRODUCTS]
    keras += [(r"\.kernel$", ".weight")]
    namings["keras"] = Naming(tuple(keras), ignore, outputs_first=False, convert=_rows_channels_first)
    if not classifier:
        # A perceptual metric's file, written by Flax; it also holds the metric's linear heads.
        lpips = [(rf"^VGG16_0\.Conv_{index}\.", conv) for index, conv in enumerate(convolutions.values())]
        namings["lpips"] = Naming((*lpips, (r"\.kernel$", ".weight")), ignore, outputs_first=False)
    return namings


def _as_matrices(tensors: Tensors) -> Tensors:
    """timm holds the matrix products as convolutions over the whole grid: channels first, as the flattening is."""
    return {
        name: tensor.reshape(len(tensor), -1) if name.startswith("classifier.") and tensor.ndim == 4 else tensor
        for name, tensor in tensors.items()
    }


def _rows_channels_first(tensors: Tensors) -> Tensors:
    """Keras flattens channels last; the rows of the first matrix are put into the order of a flattening by PyTorch."""
    matrix = tensors.get("classifier.0.weight")
    if matrix is None or matrix.ndim != 2 or len(matrix) % GRID**2:
        return tensors
    rows = matrix.reshape(GRID, GRID, -1, matrix.shape[1])
    return {**tensors, "classifier.0.weight": rows.transpose(2, 0, 1, 3).reshape(matrix.shape)}


def vgg11() -> Port:
    """132,863,336 parameters."""
    return port(VGG11)


def vgg13() -> Port:
    """133,047,848 parameters."""
    return port(VGG13)


def vgg16() -> Port:
    """138,357,544 parameters."""
    return port(VGG16)


def vgg19() -> Port:
    """143,667,240 parameters."""
    return port(VGG19)


def vgg11_bn() -> Port:
    """132,868,840 parameters."""
    return port(VGG11, norm=True)


def vgg13_bn() -> Port:
    """133,053,736 parameters."""
    return port(VGG13, norm=True)


def vgg16_bn() -> Port:
    """138,365,992 parameters."""
    return port(VGG16, norm=True)


def vgg19_bn() -> Port:
    """143,678,248 parameters."""
    return port(VGG19, norm=True)


def vgg16_trunk() -> Port:
    """VGG-16 up to the last pooling: 14,714,688 parameters."""
    return port(VGG16, classifier=False)
