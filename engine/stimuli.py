"""Stimuli as a model takes them: decoded, resized, one uint8 array, and its digest."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from engine.recording import Images

Prepare = Callable[[np.ndarray], np.ndarray]


def prepare_all(
    images: Images, prepare: Prepare, *, advance: Callable[[int], None] = lambda images: None
) -> np.ndarray:
    """Every image through ``prepare`` (uint8 height x width x 3 to the model's size), stacked in order.

    Args:
        images: decoded one by one; a broken one raises InputError naming it.
        prepare: the model's own preprocessing up to uint8.
        advance: called with 1 after each image.

    Returns:
        n x size x size x 3, uint8.
    """

    def one(index: int) -> np.ndarray:
        return prepare(images[index])

    # Pillow decodes and resizes outside the interpreter lock, so threads use every core.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        prepared: np.ndarray | None = None
        try:
            for index, image in enumerate(pool.map(one, range(len(images)))):
                if prepared is None:
                    prepared = np.empty((len(images), *image.shape), np.uint8)
                prepared[index] = image
                advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if prepared is None:
        raise ValueError("no images")
    return prepared


def digest(prepared: np.ndarray) -> str:
    """SHA-256 of the pixels a model is given, so that it does not matter how the files were packed."""
    sha = hashlib.sha256(f"{prepared.dtype}{prepared.shape}".encode())
    sha.update(np.ascontiguousarray(prepared).data)
    return sha.hexdigest()
