"""Pooling against PyTorch, at sizes where windows do and do not fit."""

import numpy as np
import pytest

from models.parts.pool import adaptive_average_pool, average_pool, flatten_channels_first, max_pool

torch = pytest.importorskip("torch")
functional = torch.nn.functional


def images(size: int) -> np.ndarray:
    return np.random.default_rng(size).standard_normal((2, size, size + 1, 3)).astype(np.float32)


def theirs(x: np.ndarray) -> "torch.Tensor":
    return torch.from_numpy(x).permute(0, 3, 1, 2)


def back(x: "torch.Tensor") -> np.ndarray:
    return x.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("size", [6, 7, 8, 9])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (3, 2, 0), (2, 2, 0), (3, 3, 1)])
@pytest.mark.parametrize("ceil", [False, True])
def test_window_pools(size: int, kernel: int, stride: int, padding: int, ceil: bool) -> None:
    x = images(size)
    found = max_pool(x, kernel, stride, padding, ceil=ceil)
    np.testing.assert_array_equal(
        found, back(functional.max_pool2d(theirs(x), kernel, stride, padding, ceil_mode=ceil))
    )
    for count in (False, True):
        wanted = functional.avg_pool2d(theirs(x), kernel, stride, padding, ceil, count)
        found = average_pool(x, kernel, stride, padding, ceil=ceil, count_padding=count)
        np.testing.assert_allclose(found, back(wanted), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("size", "out"), [(13, 6), (6, 6), (3, 7), (7, 1)])
def test_adaptive(size: int, out: int) -> None:
    x = images(size)
    wanted = functional.adaptive_avg_pool2d(theirs(x), out)
    np.testing.assert_allclose(adaptive_average_pool(x, out), back(wanted), rtol=0, atol=1e-6)


def test_flatten() -> None:
    x = images(4)
    np.testing.assert_array_equal(flatten_channels_first(x), theirs(x).flatten(1).numpy())
