"""Stimuli as a model takes them: decoded, placed, resized, one uint8 array, and its digest."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError
from engine.field_of_view import check_known, place
from engine.predictor import Stages
from engine.recording import Images, Recording
from models.preprocessing import Fit, prepare
from models.spec import ModelSpec

Prepare = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class View:
    """How stimuli are brought to a model's input.

    Attributes:
        fit: ``squash`` or ``crop``, as :func:`models.preprocessing.prepare` says.
        degrees: width of the model's field of view, on which stimuli are placed by their own width first
            (:func:`engine.field_of_view.place`); None: every stimulus fills the input, however wide it was.
            What ``crop`` cuts away afterwards was part of that field.
    """

    fit: Fit = "squash"
    degrees: float | None = None


WHOLE = View()


def pixels(recording: Recording, spec: ModelSpec, view: View, stages: Stages) -> np.ndarray:
    """The recording's stimuli as the model takes them: stimuli x size x size x 3, uint8.

    Raises:
        InputError: the recording has no images, or one cannot be decoded; or the view asks for degrees of visual
            angle that the recording does not state or that fit no picture.
    """
    if recording.images is None:
        raise InputError(f"recording '{recording.name}' holds no images: a model cannot be shown its stimuli")
    check_known([recording], view.degrees)
    advance = stages.stage(f"{recording.name}: decoding", len(recording.images), "images")

    def seen(image: np.ndarray) -> np.ndarray:
        if view.degrees is not None and recording.degrees is not None:
            image = place(image, recording.degrees, view.degrees)
        return prepare(image, spec.preprocessing, view.fit)

    return prepare_all(recording.images, seen, advance=advance)


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
        except BaseException:  # Ctrl-C as well: what waits for its turn is not begun
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
