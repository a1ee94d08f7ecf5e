"""The vision transformers of DINO (Caron et al., ICCV 2021) and DINOv2 (Oquab et al., TMLR 2024), without a head.

DINOv2 scales each branch per channel. Its weights come with the positions of 518 pixels; at 224 it interpolates them.
"""

from models.architectures.vit import BASE, LARGE, SMALL, Form, port
from models.port import Port


def small16() -> Port:
    """DINO ViT-S/16: 21,665,664 parameters."""
    return port(Form(SMALL, 16, outputs=None))


def small8() -> Port:
    """DINO ViT-S/8: 21,670,272 parameters."""
    return port(Form(SMALL, 8, outputs=None))


def base16() -> Port:
    """DINO ViT-B/16: 85,798,656 parameters."""
    return port(Form(BASE, 16, outputs=None))


def base8() -> Port:
    """DINO ViT-B/8: 85,807,872 parameters."""
    return port(Form(BASE, 8, outputs=None))


def v2_small14() -> Port:
    """DINOv2 ViT-S/14: 22,056,576 parameters with its mask token and the positions of 518 pixels."""
    return port(Form(SMALL, 14, outputs=None, layer_scale=1e-5), interpolate=True)


def v2_base14() -> Port:
    """DINOv2 ViT-B/14: 86,580,480 parameters with its mask token and the positions of 518 pixels."""
    return port(Form(BASE, 14, outputs=None, layer_scale=1e-5), interpolate=True)


def v2_large14() -> Port:
    """DINOv2 ViT-L/14: 304,368,640 parameters with its mask token and the positions of 518 pixels."""
    return port(Form(LARGE, 14, outputs=None, layer_scale=1e-5), interpolate=True)
