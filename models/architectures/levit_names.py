"""What the tensors and layers of LeViT are called elsewhere."""

import re

from models.weights.naming import Naming, Tensors


def _sequence(depths: tuple[int, ...]) -> list[tuple[str, str]]:
    """Name of each part that others count in one row (stage and place there, at Hugging Face) -> its name here."""
    parts = []
    for stage, depth in enumerate(depths):
        ours = [f"stages.{stage}.blocks.{index}.{part}" for index in range(depth) for part in ("attn", "mlp")]
        if stage + 1 < len(depths):
            ours += [f"stages.{stage + 1}.downsample.{part}" for part in ("attn_downsample", "mlp")]
        parts += [(f"stages.{stage}.layers.{place}", name) for place, name in enumerate(ours)]
    return parts


def aliases(depths: tuple[int, ...], distilled: bool) -> dict[str, str]:
    """Names of layers in timm and transformers -> ours."""
    found = {"stem.conv4": "stem", "patch_embeddings": "stem"}
    if not distilled:
        found |= dict.fromkeys(("head", "head.linear", "classifier"), "logits")
    for theirs, name in _sequence(depths):
        if name.endswith(".attn"):
            found[f"encoder.{theirs}.module"] = name
        elif name.endswith(".attn_downsample"):
            found[f"encoder.{theirs}"] = name
        else:
            found[f"encoder.{theirs}.module.activation"] = f"{name}.act"
            # A stage ends where the last of its parts does; timm counts what shrinks the map to the stage after it.
            block = found[f"encoder.{theirs}"] = name.removesuffix(".mlp")
            found[f"encoder.{theirs.rsplit('.', 2)[0]}"] = block
            if ".blocks." in name:
                found[block.rsplit(".", 2)[0]] = block
    return found


def namings(depths: tuple[int, ...], distilled: bool) -> dict[str, Naming]:
    """Kinds of files: timm's, whose names are ours; of transformers, of the authors, of Keras."""
    parts = _sequence(depths)
    hf = (
        (r"^levit\.", ""),
        (r"^patch_embeddings\.embedding_layer_(\d)\.convolution\.", r"stem.conv\1.linear."),
        (r"^patch_embeddings\.embedding_layer_(\d)\.", r"stem.conv\1."),
        *((rf"^encoder\.{re.escape(theirs)}\.(module\.)?", f"{ours}.") for theirs, ours in parts),
        (r"\.queries_keys_values\.", ".qkv."),
        (r"\.keys_values\.", ".kv."),
        (r"\.queries\.", ".q.ln."),
        (r"\.projection\.", ".proj.ln."),
        (r"\.linear_up\.", ".ln1."),
        (r"\.linear_down\.", ".ln2."),
        (r"^classifier_distill\.", "head_dist."),
        (r"^classifier\.", "head."),
        (r"\.batch_norm\.", ".bn."),
    )
    original = (
        *((rf"^patch_embed\.{2 * place}\.", f"stem.conv{place + 1}.") for place in range(4)),
        *((rf"^blocks\.{place}\.(m\.)?", f"{ours}.") for place, (_, ours) in enumerate(parts)),
        (r"\.mlp\.0\.", ".mlp.ln1."),
        (r"\.mlp\.2\.", ".mlp.ln2."),
        (r"\.(proj|q)\.1\.", r".\1.ln."),
        (r"\.(c|l)\.", ".linear."),
    )
    unused = r".*\.(num_batches_tracked|attention_bias_idxs)"
    if not distilled:
        unused += r"|(head_dist|classifier_distill)\..*"
    return {
        "timm": Naming(ignore=unused),
        "hf": Naming(hf, unused),
        "original": Naming(original, unused),
        "keras": Naming(
            _keras(depths), "" if distilled else r"distill_head.*", outputs_first=False, convert=_heads_first
        ),
    }


def _keras(depths: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    """From the names of the package keras_cv_attention_models, which the harmonized models were made with."""
    stages = range(len(depths))
    return (
        (r"^stem_(\d)_conv\.", r"stem.conv\1.linear."),
        (r"^stem_(\d)_bn\.", r"stem.conv\1.bn."),
        *((rf"^stack{stage}_downsample_mlp_", f"stages.{stage}.downsample.mlp.") for stage in stages),
        *((rf"^stack{stage}_downsample_", f"stages.{stage}.downsample.attn_downsample.") for stage in stages),
        *(
            (rf"^stack{stage + 1}_block{index + 1}_{theirs}", f"stages.{stage}.blocks.{index}.{part}.")
            for stage, depth in enumerate(depths)
            for index in range(depth)
            for theirs, part in (("mlp_", "mlp"), ("", "attn"))
        ),
        (r"\.mlp\.(\d)_dense\.", r".mlp.ln\1.linear."),
        (r"\.mlp\.(\d)_bn\.", r".mlp.ln\1.bn."),
        (r"\.(qkv|kv|q|out)\.", r".\1.linear."),
        (r"\.(qkv|kv|q|out)_bn\.", r".\1.bn."),
        (r"\.q\.", ".q.ln."),
        (r"\.out\.", ".proj.ln."),
        (r"\.attn_pos\.positional_embedding$", ".attention_biases"),
        (r"^distill_head", "head_dist"),
        (r"^(head|head_dist)\.", r"\1.linear."),
        (r"^(head|head_dist)_bn\.", r"\1.bn."),
        (r"\.(kernel|gamma)$", ".weight"),
        (r"\.beta$", ".bias"),
        (r"\.moving_mean$", ".running_mean"),
        (r"\.moving_variance$", ".running_var"),
    )


def _heads_first(tensors: Tensors) -> Tensors:
    """Attention biases as heads x offsets."""
    return {name: tensor.T if name.endswith(".attention_biases") else tensor for name, tensor in tensors.items()}
