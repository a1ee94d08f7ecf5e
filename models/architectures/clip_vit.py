"""The vision transformers that are CLIP's image towers (Radford et al., ICML 2021).

They normalise the tokens before the first block, have quick GELU for GELU, and end in a projection.
"""

from models.architectures.vit import BASE, Form, port
from models.port import Port


def base16() -> Port:
    """Image tower of CLIP ViT-B/16: 86,192,640 parameters."""
    return port(Form(BASE, 16, outputs=512, epsilon=1e-5, clip=True))


def base32() -> Port:
    """Image tower of CLIP ViT-B/32: 87,849,216 parameters."""
    return port(Form(BASE, 32, outputs=512, epsilon=1e-5, clip=True))
