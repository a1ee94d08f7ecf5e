"""Where a stimulus lies in what a model sees, by its width in degrees of visual angle."""

from collections.abc import Iterable

import numpy as np

from engine.errors import InputError
from engine.recording import Recording

GREY = 128  # of the canvas, in all three channels
LARGEST = 2**26  # pixels of a canvas: 8192 x 8192, 200 MB in each thread that prepares stimuli


def place(image: np.ndarray, stimulus: float, model: float) -> np.ndarray:
    """The part of the visual field that the model sees, the stimulus in its middle, at the stimulus's resolution.

    Brain-Score's rule (``place_on_screen``; Schrimpf et al., Neuron 2020), to the pixel, nothing is resampled: where
    the model sees more than the stimulus, a grey canvas with the stimulus on it; where it sees less, the stimulus's
    centre. Both sides become round(side x model / stimulus), the offset round(difference / 2), halves to even.

    Args:
        image: uint8, height x width x 3.
        stimulus: width of the image in degrees.
        model: width of the model's field of view in degrees.

    Returns:
        uint8, height x width x 3; the image itself where both widths are the same.

    Raises:
        InputError: nothing of the image would be left, or the canvas would be absurdly large.
    """
    if stimulus == model:
        return image
    ratio = model / stimulus
    height, width = image.shape[:2]
    tall, wide = round(ratio * height), round(ratio * width)
    if not 0 < tall * wide <= LARGEST:
        raise InputError(
            f"model.visual_degrees={model:g}: a stimulus of {stimulus:g} degrees and {width} x {height} pixels "
            f"would become {wide} x {tall} pixels; check both numbers of degrees"
        )
    if ratio < 1:
        top, left = round((height - tall) / 2), round((width - wide) / 2)
        return image[top : top + tall, left : left + wide]
    top, left = round((tall - height) / 2), round((wide - width) / 2)
    canvas = np.full((tall, wide, 3), GREY, np.uint8)
    canvas[top : top + height, left : left + width] = image
    return canvas


def check_known(recordings: Iterable[Recording], model: float | None) -> None:
    """Raises InputError where the model has a field of view but the width of a recording's stimuli is not known."""
    for recording in recordings:
        if model is not None and not (recording.degrees is not None and recording.degrees > 0):
            raise InputError(
                f"model.visual_degrees={model:g}: recording '{recording.name}' does not say how many degrees its "
                "stimuli are wide ('corticalign dataset import' takes --degrees); with model.visual_degrees=null they "
                "fill the model's input"
            )
