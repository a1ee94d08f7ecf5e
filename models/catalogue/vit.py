"""Vision transformers and DeiT, supervised on ImageNet."""

from dataclasses import replace

from models.catalogue.common import HARMONIZED, IMAGENET, architecture, torchvision
from models.preprocessing import Preprocessing
from models.spec import ModelSpec, Weights
from models.weights.sources import HubFile, PublicFile

_VIT = "Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, ICLR 2021"
_AUGREG = f"Steiner et al., How to train your ViT?, TMLR 2022; {_VIT}"
_DEIT = "Touvron et al., Training data-efficient image transformers & distillation through attention, ICML 2021"
_DEIT3 = "Touvron et al., DeiT III: Revenge of the ViT, ECCV 2022"

_AUGREG_INPUT = Preprocessing(
    size=224, interpolation="bicubic", mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5), resize=248
)
_DEIT_INPUT = replace(IMAGENET, interpolation="bicubic", resize=248)


def _hub(repository: str, revision: str = "main", sha256: str | None = None) -> Weights:
    return Weights(HubFile(f"timm/{repository}", revision=revision, sha256=sha256), "timm", "Apache-2.0")


def _augreg(name: str, title: str, function: str, weights: Weights) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"{title} (timm, AugReg), supervised on ImageNet-21k, then ImageNet-1k",
        preprocessing=_AUGREG_INPUT,
        port=architecture(f"vit:{function}"),
        weights=weights,
        citation=_AUGREG,
    )


def _torchvision(name: str, title: str, function: str, file: str, resize: int = 256) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"{title} (torchvision), supervised on ImageNet-1k",
        preprocessing=replace(IMAGENET, resize=resize),
        port=architecture(f"vit:{function}"),
        weights=torchvision(file),
        citation=_VIT,
    )


def _deit(name: str, title: str, function: str, weights: Weights, citation: str = _DEIT) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"{title}, supervised on ImageNet-1k",
        preprocessing=_DEIT_INPUT,
        port=architecture(f"vit:{function}"),
        weights=weights,
        citation=citation,
    )


def _distilled(name: str, title: str, function: str, file: str) -> ModelSpec:
    """From the authors, whose file names carry the first eight digits of the SHA-256."""
    digits = file.removesuffix(".pth").rsplit("-", 1)[1]
    source = PublicFile(f"https://dl.fbaipublicfiles.com/deit/{file}", digits)
    return _deit(name, f"{title}, distilled", function, Weights(source, "original", "Apache-2.0"))


SPECS = [
    _augreg(
        "vit-tiny-patch16",
        "ViT-Ti/16",
        "tiny16",
        _hub(
            "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
            "7d3afdd0cf93ad84d986eb2d6bcc5812ebd0b106",
            "fecf81b492bd13ee7a5297cb74d1d417aac8bf7e1b7d96aed89c4691984587ed",
        ),
    ),
    _augreg(
        "vit-small-patch16",
        "ViT-S/16",
        "small16",
        _hub(
            "vit_small_patch16_224.augreg_in21k_ft_in1k",
            "7e2c55630205e1266030f18370f4c6ed1a514b52",
            "79c03c635cdfd798a364a9d8c4e5c0b7255b975ea2c9616046d4f77ab01435aa",
        ),
    ),
    _augreg(
        "vit-base-patch16",
        "ViT-B/16",
        "base16",
        _hub(
            "vit_base_patch16_224.augreg2_in21k_ft_in1k",
            "063c6c38a5d8510b2e57df480445e94b231dad2c",
            "32aa17d6e17b43500f531d5f6dc9bc93e56ed8841b8a75682e1bb295d722405b",
        ),
    ),
    _augreg(
        "vit-large-patch16",
        "ViT-L/16",
        "large16",
        _hub(
            "vit_large_patch16_224.augreg_in21k_ft_in1k",
            "0930ab3308b84cb2ae091a4a80703c459412a4c7",
            "109390825a5bada2864f1b74445a63d29c51ef079c349644bc98996c452f6cf1",
        ),
    ),
    _augreg("vit-small-patch32", "ViT-S/32", "small32", _hub("vit_small_patch32_224.augreg_in21k_ft_in1k")),
    _augreg("vit-base-patch32", "ViT-B/32", "base32", _hub("vit_base_patch32_224.augreg_in21k_ft_in1k")),
    _torchvision("vit-b-16", "ViT-B/16", "base16", "vit_b_16-c867db91.pth"),
    _torchvision("vit-b-32", "ViT-B/32", "base32", "vit_b_32-d86f8d99.pth"),
    _torchvision("vit-l-16", "ViT-L/16", "large16", "vit_l_16-852ce7e3.pth", resize=242),
    _torchvision("vit-l-32", "ViT-L/32", "large32", "vit_l_32-c7638314.pth"),
    _deit(
        "deit-tiny-patch16",
        "DeiT-Ti",
        "tiny16",
        _hub(
            "deit_tiny_patch16_224.fb_in1k",
            "80e968688553f219e4a86f940ed945a23709c16f",
            "21d4764d94f6c3ffdb6da3581115a0a1ee2d505537d96883b540e54766407c9e",
        ),
    ),
    _deit(
        "deit-small-patch16",
        "DeiT-S",
        "small16",
        _hub(
            "deit_small_patch16_224.fb_in1k",
            "91327a9c99f98fe6b524cd4d397b7226b80e1365",
            "1e747b4a8d0df2cfbd3c450e8c97685d867448ab0c2ddbfb34b6885f5cb23e5b",
        ),
    ),
    _deit(
        "deit-base-patch16",
        "DeiT-B",
        "base16",
        _hub(
            "deit_base_patch16_224.fb_in1k",
            "b78cc5532a69df6bcad9c3a8d76653fd20b31ac6",
            "cd2da27b74ed7f68b599f16c77af3e1e80f01c75f9ad96029d22ce747a247e8e",
        ),
    ),
    _distilled(
        "deit-tiny-distilled-patch16", "DeiT-Ti", "distilled_tiny16", "deit_tiny_distilled_patch16_224-b40b3cf7.pth"
    ),
    _distilled(
        "deit-small-distilled-patch16", "DeiT-S", "distilled_small16", "deit_small_distilled_patch16_224-649709d9.pth"
    ),
    _distilled(
        "deit-base-distilled-patch16", "DeiT-B", "distilled_base16", "deit_base_distilled_patch16_224-df68dfff.pth"
    ),
    _deit("deit3-small-patch16", "DeiT III S/16", "deit3_small16", _hub("deit3_small_patch16_224.fb_in1k"), _DEIT3),
    _deit("deit3-base-patch16", "DeiT III B/16", "deit3_base16", _hub("deit3_base_patch16_224.fb_in1k"), _DEIT3),
    _deit("deit3-large-patch16", "DeiT III L/16", "deit3_large16", _hub("deit3_large_patch16_224.fb_in1k"), _DEIT3),
    ModelSpec(
        name="vit-b-16-harmonized",
        summary="ViT-B/16 (vit-keras), trained to attend where people do; weights=PATH of "
        "https://storage.googleapis.com/serrelab/prj_harmonization/models/vit-b16_harmonized.h5",
        preprocessing=IMAGENET,
        port=architecture("vit:base16_keras"),
        weights=None,
        citation=HARMONIZED,
    ),
]
