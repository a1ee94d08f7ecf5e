"""LeViT against Hugging Face's implementation with the same random weights."""

import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from engine.errors import InputError
from models.architectures.levit import port
from models.port import Port, assemble
from tests.models.parity import images, observed, ours, ported, randomised, relative_error

CHANNELS, DEPTHS, HEADS, KEY = (16, 24, 32), (2, 1, 1), (2, 3, 2), 8


def reference(resolution: int) -> Any:
    config = transformers.LevitConfig(
        image_size=16 * resolution,
        hidden_sizes=list(CHANNELS),
        depths=list(DEPTHS),
        num_attention_heads=list(HEADS),
        key_dim=[KEY] * 3,
        num_labels=1000,
    )
    return randomised(transformers.LevitForImageClassificationWithTeacher(config))


def levit(resolution: int, *, distilled: bool = True) -> Port:
    return port(CHANNELS, DEPTHS, HEADS, KEY, resolution=resolution, distilled=distilled)


def as_tokens(x: jax.Array) -> jax.Array:
    return x.reshape(len(x), -1, x.shape[-1]) if x.ndim == 4 else x


@pytest.mark.parametrize("folded", [False, True])
def test_each_module_on_the_same_input(folded: bool) -> None:
    network = reference(5)
    module = ported(levit(5), network, "hf", folded=folded)
    mine = {".".join(map(str, path)): child for path, child in nnx.iter_modules(module)}
    stages = "levit.encoder.stages"
    where = {
        f"{stages}.0.layers.2.module": "stages.0.blocks.1.attn",
        f"{stages}.0.layers.3.module": "stages.0.blocks.1.mlp",
        f"{stages}.0.layers.4": "stages.1.downsample.attn_downsample",
        f"{stages}.0.layers.5.module": "stages.1.downsample.mlp",
        f"{stages}.1.layers.2": "stages.2.downsample.attn_downsample",
        f"{stages}.2.layers.0.module": "stages.2.blocks.0.attn",
    }
    seen = observed(network, images(80), "|".join(map(re.escape, where)))
    apply = jax.jit(lambda module, x: module(x))
    for name, (given, wanted) in seen.items():
        side = round(given.shape[1] ** 0.5)
        found = apply(mine[where[name]], ours(given).reshape(len(given), side, side, -1))
        assert relative_error(as_tokens(found), wanted) < 1e-5, name
    assert set(seen) == set(where)


# An image of 65 pixels gives as many positions as one of 80.
@pytest.mark.parametrize(("size", "resolution", "folded"), [(64, 4, False), (65, 5, True)])
def test_end_to_end(size: int, resolution: int, folded: bool) -> None:
    network, known = reference(resolution), levit(resolution)
    found = jax.jit(lambda module, x: module(x))(ported(known, network, "hf", folded=folded), ours(images(size)))
    pattern = r"classifier.*|levit\.(patch_embeddings|encoder\.stages\..*)"
    seen = {name.removeprefix("levit."): out for name, (_, out) in observed(network, images(size), pattern).items()}
    compared = {known.aliases[name]: tensor for name, tensor in seen.items() if name in known.aliases}
    compared["avgpool"] = seen["encoder.stages.2"].mean(1)
    compared["logits"] = (seen["classifier"] + seen["classifier_distill"]) / 2
    assert set(compared) == set(found) == {*known.layers, "logits"}
    for layer, wanted in compared.items():
        assert relative_error(as_tokens(found[layer]), wanted) < 1e-4, layer


def test_one_classifier() -> None:
    network, known = reference(4), levit(4, distilled=False)
    found = jax.jit(lambda module, x: module(x))(ported(known, network, "hf", folded=True), ours(images(64)))
    seen = observed(network, images(64), "classifier")
    assert relative_error(found["logits"], seen["classifier"][1]) < 1e-4


def test_images_of_another_size() -> None:
    with pytest.raises(InputError, match="takes images of 64 x 64 pixels, not 96 x 96"):
        jax.eval_shape(ported(levit(4), reference(4), "hf"), ours(images(96)))


def names(kind: str) -> Iterator[tuple[str, str]]:
    """Prefix of each product with its normalisation, or name of each other tensor: here -> in a kind of file."""
    place = 0
    for number in range(4):
        theirs = {"original": f"patch_embed.{2 * number}.*", "keras": f"stem_{number + 1}_conv"}
        yield f"stem.conv{number + 1}.*", theirs.get(kind, "")
    for stage, depth in enumerate(DEPTHS):
        parts = [(f"stages.{stage}.blocks.{index}", f"stack{stage + 1}_block{index + 1}") for index in range(depth)]
        if stage + 1 < len(DEPTHS):
            parts.append((f"stages.{stage + 1}.downsample", f"stack{stage + 1}_downsample"))
        for here, keras in parts:
            shrinks = here.endswith("downsample")
            attention = f"{here}.attn_downsample" if shrinks else f"{here}.attn"
            block = f"blocks.{place}" if shrinks else f"blocks.{place}.m"
            for part in ("kv", "q") if shrinks else ("qkv",):
                inner = ".ln" if part == "q" else ""
                original = f"{block}.q.1.*" if part == "q" else f"{block}.{part}.*"
                yield f"{attention}.{part}{inner}.*", original if kind == "original" else f"{keras}_{part}"
            yield f"{attention}.proj.ln.*", f"{block}.proj.1.*" if kind == "original" else f"{keras}_out"
            biases = f"{block}.attention_biases" if kind == "original" else f"{keras}_attn_pos.positional_embedding"
            yield f"{attention}.attention_biases", biases
            for number in (1, 2):
                original = f"blocks.{place + 1}.m.{2 * number - 2}.*"
                yield f"{here}.mlp.ln{number}.*", original if kind == "original" else f"{keras}_mlp_{number}_dense"
            place += 2


def tensors(kind: str, mine: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same tensors as a kind of file holds them."""
    statistics = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    found = {}
    for head in ("head", "head_dist"):
        theirs = head.replace("head_dist", "distill_head") if kind == "keras" else head
        for leaf, keras in statistics.items():
            name = f"{theirs}_bn.{keras}" if kind == "keras" else f"{theirs}.bn.{leaf}"
            found[name] = mine[f"{head}.bn.{leaf}"]
        found[f"{theirs}.kernel" if kind == "keras" else f"{theirs}.l.weight"] = mine[f"{head}.linear.weight"]
        found[f"{theirs}.bias" if kind == "keras" else f"{theirs}.l.bias"] = mine[f"{head}.linear.bias"]
    for here, theirs in names(kind):
        if not here.endswith("*"):
            found[theirs] = mine[here].T if kind == "keras" else mine[here]
            continue
        here = here.removesuffix("*")
        found[f"{theirs}.kernel" if kind == "keras" else theirs.replace("*", "c.weight")] = mine[f"{here}linear.weight"]
        for leaf, keras in statistics.items():
            stem = re.sub(r"_(conv|dense)$", "", theirs)
            name = f"{stem}_bn.{keras}" if kind == "keras" else theirs.replace("*", f"bn.{leaf}")
            found[name] = mine[f"{here}bn.{leaf}"]
    return found


@pytest.mark.parametrize("kind", ["original", "keras"])
def test_other_files(kind: str) -> None:
    wanted = ported(levit(4), reference(4), "hf")
    mine = {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(wanted))}
    theirs = tensors(kind, mine)
    if kind == "original":  # outputs first, as PyTorch has them
        theirs = {name: _outputs_first(name, tensor) for name, tensor in theirs.items()}
    for names_given in (kind, None):
        found = assemble(levit(4), theirs, "file", names_given)
        for path, leaf in nnx.to_flat_state(nnx.state(found)):
            np.testing.assert_array_equal(leaf[...], mine[".".join(map(str, path))], err_msg=str(path))


def _outputs_first(name: str, tensor: np.ndarray) -> np.ndarray:
    if name.endswith("attention_biases") or tensor.ndim < 2:
        return tensor
    return np.moveaxis(tensor, (-1, -2), (0, 1))
