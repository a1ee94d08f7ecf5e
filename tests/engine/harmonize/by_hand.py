"""The steps of the map loss in NumPy, for one map."""

import numpy as np

KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def halved(map_: np.ndarray) -> np.ndarray:
    """TensorFlow's SAME with stride 2, pixel by pixel: (ceil(n / 2) - 1) 2 + 5 - n zeros, the smaller half before."""
    height, width = map_.shape
    before = [max((-(-n // 2) - 1) * 2 + 5 - n, 0) // 2 for n in (height, width)]
    found = np.zeros((-(-height // 2), -(-width // 2)))
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            for k in range(5):
                for m in range(5):
                    row, column = 2 * i + k - before[0], 2 * j + m - before[1]
                    if 0 <= row < height and 0 <= column < width:
                        found[i, j] += KERNEL[k, m] * map_[row, column]
    return found


def cut(map_: np.ndarray) -> np.ndarray:
    return np.maximum((map_ - map_.mean()) / (map_.std() + 1e-5), 0)
