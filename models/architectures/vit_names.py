"""How other implementations name the parameters and the layers of the vision transformers in ``vit.py``."""

import re
from collections.abc import Mapping

import numpy as np

from models.parts.positions import resampled
from models.weights.naming import Naming, Tensors

_QUERY_KEY_VALUE = re.compile(r"(blocks\.\d+\.attn\.)query(\.weight|\.bias)")

_TORCHVISION = (
    (r"^class_token$", "cls_token"),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.self_attention\.in_proj_(weight|bias)$", r".attn.qkv.\1"),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(?:0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(?:3|linear_2)\.", ".mlp.fc2."),
)

# ViTModel, DeiTModel and Dinov2Model, bare or inside a model with a classifier.
_HUGGING_FACE = (
    (r"^(?:vit|deit|dinov2)\.", ""),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^cls_classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.", "blocks."),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
)

# The package vit-keras, whose layers have the names of the original checkpoints in Flax.
_KERAS = (
    (r"^embedding\.", "patch_embed.proj."),
    (r"^class_token\.(?:.*\.)?cls$", "cls_token"),
    (r"^Transformer\.posembed_input\.(?:.*\.)?pos_embedding$", "pos_embed"),
    (r"^Transformer\.encoder_norm\.", "norm."),
    (r"^Transformer\.encoderblock_(\d+)\.", r"blocks.\1."),
    (r"\.LayerNorm_0\.", ".norm1."),
    (r"\.LayerNorm_2\.", ".norm2."),
    (r"\.MultiHeadDotProductAttention_1\.out\.", ".attn.proj."),
    (r"\.MultiHeadDotProductAttention_1\.", ".attn."),
    # The two products are inside a sequence of its own, whose name and theirs depend on the version.
    (r"^(blocks\.\d+)\.(?:.*\.)?Dense_0\.", r"\1.mlp.fc1."),
    (r"^(blocks\.\d+)\.(?:.*\.)?Dense_1\.", r"\1.mlp.fc2."),
    (r"\.(?:kernel|gamma)$", ".weight"),
    (r"\.beta$", ".bias"),
)

_OPENAI = (
    (r"^visual\.", ""),
    (r"^class_embedding$", "cls_token"),
    (r"^positional_embedding$", "pos_embed"),
    (r"^conv1\.", "patch_embed.proj."),
    (r"^transformer\.resblocks\.", "blocks."),
    (r"^ln_pre\.", "norm_pre."),
    (r"^ln_post\.", "norm."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.attn\.in_proj_(weight|bias)$", r".attn.qkv.\1"),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)

_HUGGING_FACE_CLIP = (
    (r"^vision_model\.", ""),
    (r"^embeddings\.class_embedding$", "cls_token"),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^encoder\.layers\.", "blocks."),
    (r"^pre_layrnorm\.", "norm_pre."),
    (r"^post_layernorm\.", "norm."),
    (r"^visual_projection\.", "head."),
    (r"\.self_attn\.q_proj\.", ".attn.query."),
    (r"\.self_attn\.k_proj\.", ".attn.key."),
    (r"\.self_attn\.v_proj\.", ".attn.value."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.layer_norm([12])\.", r".norm\1."),
)


def namings(*, classifier: bool, grid: int | None) -> dict[str, Naming]:
    """Of a vision transformer. ``grid``: patches along a side to interpolate the positions to, as DINOv2 does."""

    def convert(tensors: Tensors) -> Tensors:
        tensors = _joined(tensors)
        if grid is not None and "pos_embed" in tensors:
            tensors["pos_embed"] = resampled(tensors["pos_embed"], grid)
        return tensors

    def naming(rename: tuple[tuple[str, str], ...], head: str, ignore: str) -> Naming:
        return Naming(rename=rename, ignore=ignore if classifier else rf"{ignore}|{head}\..*", convert=convert)

    # The authors of DeiT, DINO and DINOv2 started from timm's code; DeiT III names the layer scales differently.
    timm = naming(((r"\.gamma_([12])$", r".ls\1.gamma"),), "head", "mask_token")
    return {
        "timm": timm,
        "original": timm,
        "torchvision": naming(_TORCHVISION, "heads", "(?!)"),
        "hf": naming(_HUGGING_FACE, "classifier", r"(?:.*\.)?(?:pooler\..*|mask_token)"),
        "keras": Naming(
            _KERAS,
            ignore="(?!)" if classifier else r"head\..*",
            outputs_first=False,
            convert=lambda tensors: _joined(tensors, axis=-1),
        ),
    }


def clip_namings() -> dict[str, Naming]:
    """Of CLIP's image tower. Files of the whole model hold the text tower too, without the prefix ``visual.``."""

    def openai(tensors: Tensors) -> Tensors:
        if "proj" in tensors:  # stored in x out, unlike all others
            tensors["head.weight"] = tensors.pop("proj").T
        return _three_axes(tensors)

    def timm(tensors: Tensors) -> Tensors:
        if "head.bias" in tensors and not tensors["head.bias"].any():  # CLIP has none; timm adds zeros
            del tensors["head.bias"]
        return tensors

    return {
        "original": Naming(_OPENAI, ignore=r"(?!visual\.).*", convert=openai),
        "timm": Naming(convert=timm),
        "hf": Naming(
            _HUGGING_FACE_CLIP,
            ignore=r"text_model\..*|text_projection\..*|logit_scale|.*\.position_ids",
            convert=lambda tensors: _three_axes(_joined(tensors)),
        ),
    }


def aliases(depth: int) -> dict[str, str]:
    """Of a vision transformer in torchvision (modules, and nodes of its traced graph) and Hugging Face."""
    return (
        {"norm_pre": "tokens", "encoder.dropout": "tokens", "embeddings": "tokens"}
        | {"encoder.ln": "norm", "layernorm": "norm"}
        | _per_block(
            depth,
            {
                "encoder.layers.encoder_layer_{}": "blocks.{}",
                "encoder.layers.encoder_layer_{}.add_1": "blocks.{}",
                "encoder.layers.encoder_layer_{}.self_attention": "blocks.{}.attn",
                "encoder.layers.encoder_layer_{}.mlp.1": "blocks.{}.mlp.act",
                "encoder.layer.{}": "blocks.{}",
                "encoder.layer.{}.attention": "blocks.{}.attn",
                "encoder.layer.{}.attention.output": "blocks.{}.attn",
                "encoder.layer.{}.attention.output.dense": "blocks.{}.attn",
                "encoder.layer.{}.intermediate": "blocks.{}.mlp.act",
                "encoder.layer.{}.mlp.activation": "blocks.{}.mlp.act",
                # since version 5 of transformers
                "encoder.layer.{}.mlp.activation_fn": "blocks.{}.mlp.act",
                "layers.{}": "blocks.{}",
                "layers.{}.attention": "blocks.{}.attn",
                "layers.{}.mlp.activation_fn": "blocks.{}.mlp.act",
            },
        )
    )


def clip_aliases(depth: int) -> dict[str, str]:
    """Of CLIP's image tower in OpenAI's code (with and without its prefix), timm and Hugging Face."""
    openai = {"ln_pre": "tokens", "ln_post": "pooled"} | _per_block(
        depth,
        {
            "transformer.resblocks.{}": "blocks.{}",
            "transformer.resblocks.{}.attn": "blocks.{}.attn",
            "transformer.resblocks.{}.mlp.gelu": "blocks.{}.mlp.act",
        },
    )
    hugging_face = {
        "pre_layrnorm": "tokens",
        "post_layernorm": "pooled",
        "visual_projection": "embedding",
    } | _per_block(
        depth,
        {
            "encoder.layers.{}": "blocks.{}",
            "encoder.layers.{}.self_attn": "blocks.{}.attn",
            "encoder.layers.{}.mlp.activation_fn": "blocks.{}.mlp.act",
        },
    )
    return (
        {"norm_pre": "tokens", "head": "embedding", "visual": "embedding"}
        | openai
        | {f"visual.{theirs}": ours for theirs, ours in openai.items()}
        | hugging_face
        | {f"vision_model.{theirs}": ours for theirs, ours in hugging_face.items() if theirs != "visual_projection"}
    )


def _per_block(depth: int, names: Mapping[str, str]) -> dict[str, str]:
    return {theirs.format(i): ours.format(i) for theirs, ours in names.items() for i in range(depth)}


def _joined(tensors: Tensors, axis: int = 0) -> Tensors:
    """Separate queries, keys and values of each block as the one tensor that timm has, in this order along ``axis``."""
    for name in list(tensors):
        if match := _QUERY_KEY_VALUE.fullmatch(name):
            block, kind = match.groups()
            names = [f"{block}{part}{kind}" for part in ("query", "key", "value")]
            if all(part in tensors for part in names):
                tensors[f"{block}qkv{kind}"] = np.concatenate([tensors.pop(part) for part in names], axis)
    return tensors


def _three_axes(tensors: Tensors) -> Tensors:
    """CLIP stores the class token and the positions without timm's leading axes of one."""
    for name in ("cls_token", "pos_embed"):
        if name in tensors:
            tensors[name] = tensors[name].reshape(1, -1, tensors[name].shape[-1])
    return tensors
