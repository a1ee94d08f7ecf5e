"""Learned position embeddings for another number of patches than they were trained with."""

import math

import numpy as np

# What DINO adds to the wanted number of patches before dividing; so the scale is not quite the quotient.
_OFFSET = 0.1
# PyTorch's cubic kernel; Keys' own constant, which JAX uses, is -0.5.
_A = -0.75


def resampled(embedding: np.ndarray, grid: int) -> np.ndarray:
    """The embedding of a class token and ``grid`` x ``grid`` patches, from that of another square of patches.

    1 x (1 + patches) x channels; the class token's stays. Equals what DINO (Caron et al., ICCV 2021) and DINOv2
    (Oquab et al., TMLR 2024) do in every forward pass, ``torch.nn.functional.interpolate(patches,
    scale_factor=(grid + 0.1) / trained, mode="bicubic")``, in float64 and rounded once.
    """
    patches, channels = embedding.shape[1] - 1, embedding.shape[2]
    trained = math.isqrt(patches)
    if trained == grid or trained**2 != patches:
        return embedding
    weights = _bicubic(trained, grid, (grid + _OFFSET) / trained)
    square = embedding[0, 1:].reshape(trained, trained, channels).astype(np.float64)
    moved = np.einsum("ih,jw,hwc->ijc", weights, weights, square, optimize=True).reshape(1, grid**2, channels)
    return np.concatenate([embedding[:, :1], moved.astype(np.float32)], axis=1)


def _bicubic(size: int, out: int, scale: float) -> np.ndarray:
    """out x size: the weights of the four nearest samples; beyond the border the outermost sample goes on."""
    centre = (np.arange(out) + 0.5) / scale - 0.5
    nearest = np.floor(centre).astype(int)
    weights = np.zeros((out, size))
    for step in range(-1, 3):
        distance = np.abs(centre - nearest - step)
        near = ((_A + 2) * distance - (_A + 3)) * distance**2 + 1
        far = _A * (((distance - 5) * distance + 8) * distance - 4)
        source = np.clip(nearest + step, 0, size - 1)
        np.add.at(weights, (np.arange(out), source), np.where(distance <= 1, near, far))
    return weights
