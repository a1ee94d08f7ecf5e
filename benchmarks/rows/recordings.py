"""Real recordings, whole or their first stimuli, from the mirror or the download cache; brought here where missing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine import datasets
from engine.fetch import default_cache, default_mirror, fetch
from engine.recording import Images, Recording


class Silent:
    """Shows no bars; what a run says of itself goes nowhere."""

    def stage(self, name: str, total: int, unit: str) -> Callable[[int], None]:
        """As :class:`engine.predictor.Stages`."""
        return lambda steps: None

    def say(self, sentence: str) -> None:
        """As :class:`engine.predictor.Stages`."""


class FirstImages:
    """The first of a recording's pictures."""

    def __init__(self, images: Images, count: int) -> None:
        self._images, self._count = images, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> np.ndarray:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._images[index]


def session(number: int) -> Recording:
    """A session of cowley2023-v4."""
    cache, mirror = default_cache(), default_mirror()
    (found,) = datasets.load(
        "cowley2023-v4", {"sessions": [number]}, lambda file: fetch(file, cache=cache, mirror=mirror)
    )
    return found


def first(recording: Recording, count: int) -> Recording:
    """Its first stimuli, as a recording of averages."""
    assert recording.images is not None
    return replace(
        recording,
        stimuli=recording.stimuli.iloc[:count],
        images=FirstImages(recording.images, count),
        averages=recording.responses[:count],
        repeats=None,
    )
