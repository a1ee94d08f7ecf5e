"""Vision transformers that DINO and DINOv2 trained without labels."""

from dataclasses import replace

from models.catalogue.common import IMAGENET, architecture
from models.spec import ModelSpec, Weights
from models.weights.sources import HubFile, PublicFile

_DINO = "Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021"
_DINOV2 = "Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024"

_INPUT = replace(IMAGENET, interpolation="bicubic", resize=256)


def _dino(name: str, title: str, function: str, repository: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"{title} of DINO, self-supervised on ImageNet-1k",
        preprocessing=_INPUT,
        port=architecture(f"dino:{function}"),
        weights=Weights(HubFile(f"timm/{repository}"), "timm", "Apache-2.0"),
        citation=_DINO,
    )


def _dinov2(name: str, title: str, function: str, model: str, sha256: str) -> ModelSpec:
    url = f"https://dl.fbaipublicfiles.com/dinov2/{model}/{model}_pretrain.pth"
    return ModelSpec(
        name=name,
        summary=f"{title} of DINOv2, self-supervised on LVD-142M; its positions interpolated to 224 pixels",
        preprocessing=_INPUT,
        port=architecture(f"dino:{function}"),
        weights=Weights(PublicFile(url, sha256), "original", "Apache-2.0"),
        citation=_DINOV2,
    )


SPECS = [
    _dino("dino-vit-small-patch16", "ViT-S/16", "small16", "vit_small_patch16_224.dino"),
    _dino("dino-vit-small-patch8", "ViT-S/8", "small8", "vit_small_patch8_224.dino"),
    _dino("dino-vit-base-patch16", "ViT-B/16", "base16", "vit_base_patch16_224.dino"),
    _dino("dino-vit-base-patch8", "ViT-B/8", "base8", "vit_base_patch8_224.dino"),
    _dinov2(
        "dinov2-vit-small-patch14",
        "ViT-S/14",
        "v2_small14",
        "dinov2_vits14",
        "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    ),
    _dinov2(
        "dinov2-vit-base-patch14",
        "ViT-B/14",
        "v2_base14",
        "dinov2_vitb14",
        "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
    ),
    _dinov2(
        "dinov2-vit-large-patch14",
        "ViT-L/14",
        "v2_large14",
        "dinov2_vitl14",
        "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    ),
]
