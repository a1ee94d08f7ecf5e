"""Vision transformers against PyTorch with the same random weights: own modules, and Hugging Face's."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from engine.errors import InputError
from models.architectures.vit import Form, Size, VisionTransformer, port
from models.port import Port, assemble
from models.weights.files import read_tensors
from tests.models.parity import (
    check_layers,
    check_modules,
    images,
    ours,
    ported,
    randomised,
    relative_error,
    state_of,
)
from tests.models.reference.keras_file import keras_file
from tests.models.reference.vit import OpenAIClip, OpenAITower, TimmViT, TorchvisionViT

# Two blocks: one whose input is the tokens and one whose input is a block. Three heads tell heads from channels.
SIZE = Size(48, 2, 3)
EVEN = {"patch": 8, "image": 32}
ODD = {"patch": 11, "image": 33}
OUTPUTS = 10

FORMS = {
    "vit": Form(SIZE, **ODD, outputs=OUTPUTS),
    "deit3": Form(SIZE, **EVEN, outputs=OUTPUTS, layer_scale=1e-6, class_position=False),
    "dinov2": Form(SIZE, **EVEN, outputs=None, layer_scale=1e-5),
    "clip": Form(SIZE, **ODD, outputs=OUTPUTS, epsilon=1e-5, clip=True),
    "distilled": Form(SIZE, **ODD, outputs=OUTPUTS, distilled=True),
    "keras": Form(SIZE, **EVEN, outputs=OUTPUTS, tanh=True),
}


def timm(form: Form) -> Any:
    """The same network with timm's names."""
    network = randomised(
        TimmViT(
            *form.size,
            form.patch,
            form.image,
            form.outputs,
            epsilon=form.epsilon,
            scaled=form.layer_scale is not None,
            class_position=form.class_position,
            clip=form.clip,
            distilled=form.distilled,
            tanh=form.tanh,
        )
    )
    if form.clip:
        torch.nn.init.zeros_(network.head.bias)
    return network


def modules(port: Port, first: str, block: Mapping[str, str], norm: str, head: str = "") -> dict[str, str]:
    """Our layers -> the modules of another implementation that have them, those of a block numbered {}."""
    named = {"tokens": first, "norm": norm, "pooled": norm, "logits": head, "embedding": head}
    for index in range(SIZE.depth):
        named |= {f"blocks.{index}{part}": name.format(index) for part, name in block.items()}
    return {layer: named[layer] for layer in (*port.layers, *filter(None, [port.readout]))}


def class_token(layer: str, tensor: Any) -> Any:
    return tensor[:, 0] if layer == "pooled" and tensor.ndim == 3 else tensor


TIMM = {"": "blocks.{}", ".attn": "blocks.{}.attn", ".mlp.act": "blocks.{}.mlp.act"}


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("vit", r"patch_embed|blocks\.0|blocks\.0\.(norm1|attn|mlp)|norm|head"),
        ("deit3", r"patch_embed|blocks\.0|blocks\.0\.ls1"),
        ("clip", r"patch_embed|norm_pre|blocks\.0|blocks\.0\.mlp|head"),
        ("distilled", r"head|head_dist"),
        ("keras", r"blocks\.0|blocks\.0\.mlp"),
    ],
)
def test_each_module_on_the_same_input(name: str, pattern: str) -> None:
    network = timm(FORMS[name])
    check_modules(ported(port(FORMS[name]), network, "timm"), network, images(FORMS[name].image), pattern)


@pytest.mark.parametrize("name", ["vit", "deit3", "clip"])
def test_end_to_end(name: str) -> None:
    network, here = timm(FORMS[name]), port(FORMS[name])
    where = modules(here, "norm_pre", TIMM, "norm", "head")
    check_layers(ported(here, network, "timm"), network, images(FORMS[name].image), where, class_token)


def test_distilled_end_to_end() -> None:
    """The logits are the mean of two classifiers, which no single module gives."""
    network, here = timm(FORMS["distilled"]), port(FORMS["distilled"])
    where = modules(here, "norm_pre", TIMM, "norm", "")
    assert not {"head", "heads", "classifier"} & set(here.aliases)

    def both_tokens(layer: str, tensor: Any) -> Any:
        return tensor[:, :2].mean(1) if layer == "pooled" else tensor

    for names in ("timm", "original"):
        check_layers(ported(here, network, names), network, images(33), where, both_tokens)
    with pytest.raises(InputError, match=r"unexpected: dist_token .*unexpected: head_dist\.weight"):
        assemble(port(FORMS["vit"]), state_of(network), "file", "timm")


def in_keras(network: Any, products: str) -> dict[str, dict[str, np.ndarray]]:
    """Layer of vit-keras -> path of a tensor within it -> array; ``products`` stands before the products of the MLP."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    outside = {
        "cls_token": ("class_token", "cls"),
        "pos_embed": ("Transformer/posembed_input", "pos_embedding"),
        "patch_embed.proj": ("embedding", ""),
        "norm": ("Transformer/encoder_norm", ""),
        "head": ("head", ""),
    }
    inside = {
        "norm1": "LayerNorm_0",
        "norm2": "LayerNorm_2",
        "attn.proj": "MultiHeadDotProductAttention_1/out",
        "mlp.fc1": f"{products}Dense_0",
        "mlp.fc2": f"{products}Dense_1",
    }
    for name, tensor in state_of(network).items():
        if name in outside:
            layer, leaf = outside[name]
            layers.setdefault(layer, {})[leaf] = tensor
            continue
        path, leaf = name.rsplit(".", 1)
        if "norm" in path:
            leaf = {"weight": "gamma", "bias": "beta"}[leaf]
        elif leaf == "weight":
            leaf, tensor = "kernel", tensor.transpose((2, 3, 1, 0) if tensor.ndim == 4 else (1, 0))
        if path in outside:
            layers.setdefault(outside[path][0], {})[leaf] = tensor
            continue
        _, index, part = path.split(".", 2)
        block = layers.setdefault(f"Transformer/encoderblock_{index}", {})
        if part == "attn.qkv":
            for kind, third in zip(("query", "key", "value"), np.split(tensor, 3, -1), strict=True):
                block[f"MultiHeadDotProductAttention_1/{kind}/{leaf}"] = third
        else:
            block[f"{inside[part]}/{leaf}"] = tensor
    return layers


# What stands before the names of the MLP's products depends on the version of vit-keras.
@pytest.mark.parametrize("products", ["", "MlpBlock_3/", "Transformer/encoderblock_0/"])
def test_files_of_keras(products: str) -> None:
    network, here = timm(FORMS["keras"]), port(FORMS["keras"])
    tensors = read_tensors(keras_file(in_keras(network, products)), "vit-b16_harmonized.h5")
    wanted = nnx.to_flat_state(nnx.state(ported(here, network, "timm")))
    for names in ("keras", None):
        found = nnx.to_flat_state(nnx.state(assemble(here, tensors, "file", names)))
        for (path, mine), (_, expected) in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(mine[...], expected[...], err_msg=str(path))
    if not products:
        where = modules(here, "norm_pre", TIMM, "norm", "head")
        check_layers(assemble(here, tensors, "file", "keras"), network, images(32), where, class_token)


def test_torchvision() -> None:
    network, here = randomised(TorchvisionViT(*SIZE, *ODD.values(), OUTPUTS)), port(FORMS["vit"])
    block = "encoder.layers.encoder_layer_{}"
    parts = {"": block, ".attn": f"{block}.self_attention", ".mlp.act": f"{block}.mlp.1"}
    where = modules(here, "encoder.dropout", parts, "encoder.ln", "heads.head")
    check_aliases(here, where)
    check_layers(ported(here, network, "torchvision"), network, images(33), where, class_token)


def test_openai() -> None:
    network = randomised(OpenAIClip(OpenAITower(*SIZE, *ODD.values(), OUTPUTS)))
    here, block = port(FORMS["clip"]), "visual.transformer.resblocks.{}"
    parts = {"": block, ".attn": f"{block}.attn", ".mlp.act": f"{block}.mlp.gelu"}
    where = modules(here, "visual.ln_pre", parts, "visual.ln_post", "visual")
    check_aliases(here, where)
    check_layers(ported(here, network, "original"), network, images(33), where, class_token)


def check_aliases(port: Port, where: Mapping[str, str]) -> None:
    """Each of the names of the other implementation is an alias of the layer compared with it."""
    for layer, name in where.items():
        # one module for two layers: the tokens normalised, and the class token among them
        assert port.aliases[name] in ((layer,) if layer not in ("norm", "pooled") else ("norm", "pooled")), name


HUGGING_FACE = {
    "num_hidden_layers": SIZE.depth,
    "hidden_size": SIZE.channels,
    "num_attention_heads": SIZE.heads,
    "image_size": 33,
    "patch_size": 11,
}


def saved(network: Any, folder: Path) -> dict[str, np.ndarray]:
    """The network's tensors, through a file as on the Hugging Face Hub."""
    network.save_pretrained(folder)
    file = folder / "model.safetensors"
    return read_tensors(file.read_bytes(), str(file))


def test_hugging_face_vit(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(**HUGGING_FACE, intermediate_size=4 * SIZE.channels, num_labels=OUTPUTS)
    network = randomised(transformers.ViTForImageClassification(config))
    here = port(replace(FORMS["vit"], epsilon=config.layer_norm_eps))
    parts = {"": "vit.layers.{}", ".attn": "vit.layers.{}.attention", ".mlp.act": "vit.layers.{}.mlp.activation_fn"}
    where = modules(here, "vit.embeddings", parts, "vit.layernorm", "classifier")
    check_aliases(here, {layer: name.removeprefix("vit.") for layer, name in where.items()})
    module = assemble(here, saved(network, tmp_path), "file", "hf")
    check_layers(module, network, images(33), where, class_token)
    # the trunk of it
    trunk = saved(network.vit, tmp_path) | {
        "pooler.dense.weight": np.zeros((2, 2)),
        "embeddings.mask_token": np.ones(3),
    }
    assemble(port(replace(FORMS["vit"], outputs=None)), trunk, "file", "hf")


def test_hugging_face_deit(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.DeiTConfig(**HUGGING_FACE, intermediate_size=4 * SIZE.channels, num_labels=OUTPUTS)
    network = randomised(transformers.DeiTForImageClassificationWithTeacher(config))
    here = port(replace(FORMS["distilled"], epsilon=config.layer_norm_eps))
    found = assemble(here, saved(network, tmp_path), "file", "hf")(ours(images(33)))["logits"]
    with torch.inference_mode():
        assert relative_error(found, network(images(33)).logits) < 1e-4


def test_hugging_face_dinov2(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    network = randomised(transformers.Dinov2Model(transformers.Dinov2Config(**HUGGING_FACE)))
    here, block = port(replace(FORMS["dinov2"], **ODD)), "encoder.layer.{}"
    parts = {"": block, ".attn": f"{block}.attention", ".mlp.act": f"{block}.mlp.activation_fn"}
    where = modules(here, "embeddings", parts, "layernorm")
    check_aliases(here, where)
    module = assemble(here, saved(network, tmp_path), "file", "hf")
    check_layers(module, network, images(33), where, class_token)


def test_hugging_face_clip(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(**HUGGING_FACE, intermediate_size=4 * SIZE.channels, projection_dim=OUTPUTS)
    network = randomised(transformers.CLIPVisionModelWithProjection(config))
    here, block = port(FORMS["clip"]), "vision_model.encoder.layers.{}"
    parts = {"": block, ".attn": f"{block}.self_attn", ".mlp.act": f"{block}.mlp.activation_fn"}
    where = modules(here, "vision_model.pre_layrnorm", parts, "vision_model.post_layernorm", "visual_projection")
    check_aliases(here, where)
    where["norm"] = where["blocks.1"]  # only the class token is normalised there

    @torch.inference_mode()
    def change(layer: str, tensor: Any) -> Any:
        return network.vision_model.post_layernorm(tensor) if layer == "norm" else tensor

    text = {"text_model.final_layer_norm.weight": np.ones(3), "logit_scale": np.ones(())}
    module = assemble(here, saved(network, tmp_path) | text, "file", "hf")
    check_layers(module, network, images(33), where, change)


def test_positions_of_another_size_are_interpolated_only_where_the_original_does() -> None:
    """DINOv2's come from 518 pixels; in another network a file of another size is a mistake."""
    network = timm(replace(FORMS["dinov2"], image=40))
    tensors = state_of(network) | {"mask_token": np.zeros((1, SIZE.channels))}
    module = assemble(port(FORMS["dinov2"], interpolate=True), tensors, "file")
    square = network.pos_embed.detach()[:, 1:].reshape(1, 5, 5, -1).permute(0, 3, 1, 2)
    moved = torch.nn.functional.interpolate(square, scale_factor=4.1 / 5, mode="bicubic")
    network.pos_embed.data = torch.cat([network.pos_embed[:, :1], moved.flatten(2).transpose(1, 2)], 1)
    assert isinstance(module, VisionTransformer)
    np.testing.assert_allclose(module.pos_embed[...], network.pos_embed.detach(), rtol=0, atol=1e-6)
    with pytest.raises(InputError, match=r"wrong shape: pos_embed is \(1, 26, 48\), wanted \(1, 17, 48\)"):
        assemble(port(FORMS["dinov2"]), tensors, "file")


def test_files_of_a_classifier_fit_the_trunk() -> None:
    form = replace(FORMS["vit"], outputs=None)
    for names, network in {"timm": timm(FORMS["vit"]), "torchvision": TorchvisionViT(*SIZE, *ODD.values(), 10)}.items():
        assemble(port(form), state_of(network), "file", names)


def test_bias_of_timms_projection_must_be_zero() -> None:
    network = timm(FORMS["clip"])
    torch.nn.init.ones_(network.head.bias)
    with pytest.raises(InputError, match=r"unexpected: head\.bias"):
        assemble(port(FORMS["clip"]), state_of(network), "file", "timm")


def test_names_of_deit3() -> None:
    """Its authors call the layer scales gamma_1 and gamma_2 of the block."""
    tensors = state_of(timm(FORMS["deit3"]))
    theirs = {
        name.replace(".ls1.gamma", ".gamma_1").replace(".ls2.gamma", ".gamma_2"): t for name, t in tensors.items()
    }
    assert theirs.keys() != tensors.keys()
    assemble(port(FORMS["deit3"]), theirs, "file", "original")
