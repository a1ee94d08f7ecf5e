"""The image towers of OpenAI's CLIP."""

from models.catalogue.common import architecture
from models.preprocessing import Preprocessing
from models.spec import ModelSpec, Weights
from models.weights.sources import HubFile

_CLIP = "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021"

_INPUT = Preprocessing(
    size=224,
    interpolation="bicubic",
    mean=(0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255),
    std=(0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255),
    resize=224,
)


def _clip(name: str, title: str, port: str, repository: str, revision: str, sha256: str) -> ModelSpec:
    # Both towers in one file, converted to safetensors by the maintainers of open_clip with OpenAI's names.
    file = HubFile(f"timm/{repository}", "open_clip_model.safetensors", revision, sha256)
    return ModelSpec(
        name=name,
        summary=f"Image tower of CLIP {title} (OpenAI), trained on 400 million pairs of image and text",
        preprocessing=_INPUT,
        port=architecture(port),
        weights=Weights(file, "original", "MIT"),
        citation=_CLIP,
    )


SPECS = [
    _clip(
        "clip-vit-base-patch32",
        "ViT-B/32",
        "clip_vit:base32",
        "vit_base_patch32_clip_224.openai",
        "a6f597a30f7b82c51704746581f9a4e41421e878",
        "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
    ),
    _clip(
        "clip-vit-base-patch16",
        "ViT-B/16",
        "clip_vit:base16",
        "vit_base_patch16_clip_224.openai",
        "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d",
        "4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f",
    ),
    _clip(
        "clip-rn50",
        "RN50",
        "clip_resnet:rn50",
        "resnet50_clip.openai",
        "ec3d92cf63a5f9d591f0d611b736895966c73076",
        "da0baa37fb2211eee5729ab69ed587eb10d48f5b7076ceeed01552fc3d4cb4ee",
    ),
]
