"""Pictures to be stored."""

import io

import numpy as np
from PIL import Image

from engine.recording import Images

RNG = np.random.default_rng(0)


class Listed:
    """Pictures of any sizes, as decoded arrays."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self.pictures[index]


class Jpegs:
    """Pictures that can give their files."""

    def __init__(self, count: int) -> None:
        self.files = []
        for i in range(count):
            out = io.BytesIO()
            Image.fromarray(RNG.integers(0, 255, (8 + i, 12, 3), np.uint8)).save(out, "JPEG")
            self.files.append(out.getvalue())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.files[index])).convert("RGB"))

    def encoded(self, index: int, /) -> bytes:
        return self.files[index]


def same_images(a: Images | None, b: Images | None) -> None:
    assert a is not None
    assert b is not None
    assert len(a) == len(b)
    for i in range(len(a)):
        np.testing.assert_array_equal(a[i], b[i])
