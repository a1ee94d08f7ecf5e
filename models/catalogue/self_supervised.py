"""ResNet-50 trained without labels, or against adversaries."""

from dataclasses import replace

from models.catalogue.common import IMAGENET, architecture
from models.preprocessing import Preprocessing
from models.spec import ModelSpec, Weights
from models.weights.sources import HubFile, PublicFile

_SIMCLR = "Chen, Kornblith, Norouzi & Hinton, A Simple Framework for Contrastive Learning of Visual Representations, "
_SIMCLR += "ICML 2020"
_BICUBIC = replace(IMAGENET, interpolation="bicubic")
_FACEBOOK = "https://dl.fbaipublicfiles.com/"
_ROBUST = "madrylab/robust-imagenet-models"


def _trunk(
    name: str,
    summary: str,
    weights: Weights | None,
    citation: str,
    *,
    preprocessing: Preprocessing = IMAGENET,
    function: str = "resnet50_trunk",
) -> ModelSpec:
    """Of ResNet-50 up to its pooled vector."""
    return ModelSpec(
        name=f"resnet50-{name}",
        summary=f"ResNet-50 without labels: {summary}",
        preprocessing=preprocessing,
        port=architecture(f"resnet:{function}"),
        weights=weights,
        citation=citation,
    )


def _robust(name: str, constraint: str, file: str, sha256: str | None = None) -> ModelSpec:
    return ModelSpec(
        name=f"resnet50-robust-{name}",
        summary=f"ResNet-50, supervised on ImageNet-1k against adversaries within {constraint}",
        preprocessing=IMAGENET,
        port=architecture("resnet:resnet50"),
        weights=Weights(HubFile(_ROBUST, file, sha256=sha256), names="torchvision", licence="MIT"),
        citation="Salman, Ilyas, Engstrom, Kapoor & Madry, Do Adversarially Robust ImageNet Models Transfer Better?, "
        "NeurIPS 2020",
    )


SPECS = [
    _trunk(
        "simclr",
        "SimCLR (Google's weights)",
        Weights(
            HubFile("lightly-ai/simclrv1-imagenet1k-resnet50-1x", "resnet50-1x.pth"),
            names="torchvision",
            licence="Apache-2.0",
        ),
        _SIMCLR,
        # trained on pixels from 0 to 1 as they are
        preprocessing=Preprocessing(size=224, interpolation="bicubic", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)),
        function="resnet50_trunk_same_pool",
    ),
    _trunk(
        "simclr-vissl",
        f"SimCLR, 800 epochs (VISSL); weights=PATH of {_FACEBOOK}vissl/model_zoo/"
        "simclr_rn50_800ep_simclr_8node_resnet_16_07_20.7e8feed1/model_final_checkpoint_phase799.torch",
        None,
        _SIMCLR,
    ),
    _trunk(
        "moco-v2",
        "MoCo v2, 800 epochs",
        Weights(
            PublicFile(
                f"{_FACEBOOK}moco/moco_checkpoints/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar", md5="a04e12f8"
            ),
            names="moco",
            licence="CC-BY-NC-4.0",
        ),
        "Chen, Fan, Girshick & He, Improved Baselines with Momentum Contrastive Learning, arXiv:2003.04297, 2020",
    ),
    _trunk(
        "byol",
        "BYOL; weights=PATH of https://storage.googleapis.com/deepmind-byol/checkpoints/"
        "pretrain_res50x1.pkl after github.com/chigur/byol-convert",
        None,
        "Grill et al., Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning, NeurIPS 2020",
        preprocessing=_BICUBIC,
        function="resnet50_trunk_same",
    ),
    _trunk(
        "swav",
        f"SwAV, 800 epochs; weights=PATH of {_FACEBOOK}deepcluster/swav_800ep_pretrain.pth.tar",
        None,
        "Caron, Misra, Mairal, Goyal, Bojanowski & Joulin, Unsupervised Learning of Visual Features by Contrasting "
        "Cluster Assignments, NeurIPS 2020",
    ),
    _trunk(
        "barlow-twins",
        "Barlow Twins, 1000 epochs",
        Weights(
            PublicFile(f"{_FACEBOOK}barlowtwins/ep1000_bs2048_lrw0.2_lrb0.0048_lambd0.0051/resnet50.pth", "cf015f40cc"),
            names="torchvision",
            licence="CC-BY-NC-4.0",
        ),
        "Zbontar, Jing, Misra, LeCun & Deny, Barlow Twins: Self-Supervised Learning via Redundancy Reduction, "
        "ICML 2021",
    ),
    _robust("l2-eps3", "3 in L2", "resnet50_l2_eps3.ckpt"),
    _robust(
        "linf-eps4",
        "4/255 in Linf",
        "resnet50_linf_eps4.0.ckpt",
        "9e62216975c111b8081481533b6142dec34be69abe5d90b54d7f860015c263db",
    ),
]
