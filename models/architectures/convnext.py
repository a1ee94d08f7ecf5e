"""ConvNeXt as torchvision has it (Liu et al., A ConvNet for the 2020s, CVPR 2022)."""

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.activation import gelu
from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import LayerNorm
from models.parts.pool import global_average_pool
from models.port import Port
from models.weights.naming import Naming, Tensors

EPSILON = 1e-6
# Of an untrained network: its blocks start out as almost nothing added to their input.
LAYER_SCALE = 1e-6


class Block(nnx.Module):
    """7x7 depthwise convolution, layer normalisation, then two matrix products with a GELU between them; scaled per
    channel and added to the input."""

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        self.block: nnx.Dict[Conv | LayerNorm | Linear] = nnx.Dict()
        self.block["0"] = Conv(channels, channels, 7, rngs, padding=3, groups=channels)
        self.block["2"] = LayerNorm(channels, epsilon=EPSILON)
        self.block["3"] = Linear(channels, 4 * channels, rngs)
        self.block["5"] = Linear(4 * channels, channels, rngs)
        self.layer_scale = nnx.Param(jnp.full((channels, 1, 1), LAYER_SCALE, jnp.float32))

    def steps(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What the depthwise convolution gives, and the output."""
        depthwise = self.block["0"](x)
        y = gelu(self.block["3"](self.block["2"](depthwise)))
        return depthwise, x + self.layer_scale[...].reshape(-1) * self.block["5"](y)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.steps(x)[1]


class ConvNeXt(nnx.Module):
    """Layers: ``stem``; ``stages.0.blocks.0`` ... after each block and ``stages.0.blocks.0.conv_dw`` ... after its
    depthwise convolution; ``stages.1.downsample.0`` ... after the normalisation and ``stages.1.downsample`` ... after
    the convolution between stages; ``avgpool``; ``norm``; and ``logits``."""

    def __init__(self, channels: tuple[int, ...], depths: tuple[int, ...], rngs: nnx.Rngs) -> None:
        # Places: 0 the stem; then in turn blocks (odd), and what halves the map (even).
        features: list[nnx.List] = []
        incoming = 3
        for stage, (out, depth) in enumerate(zip(channels, depths, strict=True)):
            if stage == 0:
                before = [Conv(incoming, out, 4, rngs, stride=4), LayerNorm(out, epsilon=EPSILON)]
            else:
                before = [LayerNorm(incoming, epsilon=EPSILON), Conv(incoming, out, 2, rngs, stride=2)]
            features += [nnx.List(before), nnx.List([Block(out, rngs) for _ in range(depth)])]
            incoming = out
        self.features = nnx.List(features)
        self.classifier: nnx.Dict[LayerNorm | Linear] = nnx.Dict()
        self.classifier["0"] = LayerNorm(incoming, epsilon=EPSILON)
        self.classifier["2"] = Linear(incoming, 1000, rngs)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {}
        for place, (first, second) in enumerate(self.features[::2]):
            y = first(x)
            x = second(y)
            if place == 0:
                layers["stem"] = x
            else:
                layers |= {f"stages.{place}.downsample.0": y, f"stages.{place}.downsample": x}
            for index, block in enumerate(self.features[2 * place + 1]):
                depthwise, x = block.steps(x)
                name = f"stages.{place}.blocks.{index}"
                layers |= {f"{name}.conv_dw": depthwise, name: x}
        layers["avgpool"] = x = global_average_pool(x)
        layers["norm"] = x = self.classifier["0"](x)
        layers["logits"] = self.classifier["2"](x)
        return layers


def port(channels: tuple[int, ...], depths: tuple[int, ...]) -> Port:
    """A network of the family: channels and number of blocks at each stage."""
    names = ["stem"]
    for stage, depth in enumerate(depths):
        if stage > 0:
            names += [f"stages.{stage}.downsample.0", f"stages.{stage}.downsample"]
        for index in range(depth):
            names += [f"stages.{stage}.blocks.{index}.conv_dw", f"stages.{stage}.blocks.{index}"]
    return Port(
        build=lambda rngs: ConvNeXt(channels, depths, rngs),
        layers=(*names, "avgpool", "norm"),
        readout="logits",
        namings=_namings(depths),
        aliases=_aliases(depths),
    )


def _aliases(depths: tuple[int, ...]) -> dict[str, str]:
    timm = {"head": "logits", "head.fc": "logits", "head.global_pool": "avgpool"}
    timm |= {"head.norm": "norm", "head.pre_logits": "norm"}
    torchvision = {"features.0": "stem", "classifier.0": "norm", "classifier.2": "logits"}
    hf = {"embeddings": "stem", "layernorm": "norm"}
    for stage, depth in enumerate(depths):
        downsample, place = f"stages.{stage}.downsample", 2 * stage
        if stage > 0:
            timm |= {f"{downsample}.1": downsample}
            for name, of in ((f"features.{place}", torchvision), (f"encoder.stages.{stage}.downsampling_layer", hf)):
                of |= {f"{name}.0": f"{downsample}.0", f"{name}.1": downsample, name: downsample}
        last = f"stages.{stage}.blocks.{depth - 1}"
        timm[f"stages.{stage}"] = torchvision[f"features.{place + 1}"] = hf[f"encoder.stages.{stage}"] = last
        for index in range(depth):
            block = f"stages.{stage}.blocks.{index}"
            torchvision |= {(name := f"features.{place + 1}.{index}"): block, f"{name}.block.0": f"{block}.conv_dw"}
            hf |= {(name := f"encoder.stages.{stage}.layers.{index}"): block, f"{name}.dwconv": f"{block}.conv_dw"}
    # With and without the classifier around the trunk.
    return (
        timm | torchvision | hf | {f"convnext.{name}": layer for name, layer in hf.items()} | {"classifier": "logits"}
    )


def _namings(depths: tuple[int, ...]) -> dict[str, Naming]:
    places = range(len(depths))
    timm = Naming(
        rename=(
            (r"^stem\.", "features.0."),
            *((rf"^stages\.{stage}\.downsample\.", f"features.{2 * stage}.") for stage in places),
            *((rf"^stages\.{stage}\.blocks\.", f"features.{2 * stage + 1}.") for stage in places),
            (r"\.conv_dw\.", ".block.0."),
            (r"(features\.\d+\.\d+)\.norm\.", r"\1.block.2."),
            (r"\.mlp\.fc1\.", ".block.3."),
            (r"\.mlp\.fc2\.", ".block.5."),
            (r"\.gamma$", ".layer_scale"),
            (r"^head\.norm\.", "classifier.0."),
            (r"^head\.fc\.", "classifier.2."),
        ),
        convert=_scales_as_maps,
    )
    hf = Naming(
        rename=(
            (r"^convnext\.", ""),
            (r"^classifier\.", "classifier.2."),
            (r"^layernorm\.", "classifier.0."),
            (r"^embeddings\.patch_embeddings\.", "features.0.0."),
            (r"^embeddings\.layernorm\.", "features.0.1."),
            *((rf"^encoder\.stages\.{s}\.downsampling_layer\.", f"features.{2 * s}.") for s in places),
            *((rf"^encoder\.stages\.{s}\.layers\.", f"features.{2 * s + 1}.") for s in places),
            (r"\.dwconv\.", ".block.0."),
            (r"(features\.\d+\.\d+)\.layernorm\.", r"\1.block.2."),
            (r"\.pwconv1\.", ".block.3."),
            (r"\.pwconv2\.", ".block.5."),
            (r"\.layer_scale_parameter$", ".layer_scale"),
        ),
        convert=_scales_as_maps,
    )
    # From the names of the package keras_cv_attention_models, which the harmonized model was made with.
    keras = Naming(
        rename=(
            (r"^stem_conv\.", "features.0.0."),
            (r"^stem_ln\.", "features.0.1."),
            *((rf"^stack{stage + 1}_downsample_ln\.", f"features.{2 * stage}.0.") for stage in places),
            *((rf"^stack{stage + 1}_downsample_conv\.", f"features.{2 * stage}.1.") for stage in places),
            *(
                (rf"^stack{stage + 1}_block{index + 1}_", f"features.{2 * stage + 1}.{index}.")
                for stage, depth in enumerate(depths)
                for index in range(depth)
            ),
            (r"\.gamma\.weight$", ".layer_scale"),
            (r"\.dw_conv\.", ".block.0."),
            (r"(features\.\d+\.\d+)\.ln\.", r"\1.block.2."),
            (r"\.up_dense\.", ".block.3."),
            (r"\.down_dense\.", ".block.5."),
            (r"^head_ln\.", "classifier.0."),
            (r"^predictions\.", "classifier.2."),
            (r"\.(?:kernel|depthwise_kernel|gamma)$", ".weight"),
            (r"\.beta$", ".bias"),
        ),
        outputs_first=False,
        convert=_from_keras,
    )
    return {"torchvision": Naming(), "timm": timm, "hf": hf, "keras": keras}


def _scales_as_maps(tensors: Tensors) -> Tensors:
    """torchvision stores a block's scales as channels x 1 x 1; others as one axis."""
    return {
        name: tensor.reshape(-1, 1, 1) if name.endswith(".layer_scale") else tensor for name, tensor in tensors.items()
    }


def _from_keras(tensors: Tensors) -> Tensors:
    """Keras has depthwise kernels height x width x channels x 1."""
    return {
        name: tensor.swapaxes(2, 3) if name.endswith(".block.0.weight") and tensor.ndim == 4 else tensor
        for name, tensor in _scales_as_maps(tensors).items()
    }


def convnext_tiny() -> Port:
    """28,589,128 parameters."""
    return port((96, 192, 384, 768), (3, 3, 9, 3))


def convnext_small() -> Port:
    """50,223,688 parameters."""
    return port((96, 192, 384, 768), (3, 3, 27, 3))


def convnext_base() -> Port:
    """88,591,464 parameters."""
    return port((128, 256, 512, 1024), (3, 3, 27, 3))


def convnext_large() -> Port:
    """197,767,336 parameters."""
    return port((192, 384, 768, 1536), (3, 3, 27, 3))
