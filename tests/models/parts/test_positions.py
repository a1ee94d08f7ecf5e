"""Interpolated positions against PyTorch's own interpolation, as DINO calls it."""

import numpy as np
import pytest

from models.parts.positions import resampled


@pytest.mark.parametrize(("trained", "grid"), [(37, 16), (6, 5), (3, 8)])
def test_equals_torch(trained: int, grid: int) -> None:
    torch = pytest.importorskip("torch")
    embedding = np.random.default_rng(0).standard_normal((1, 1 + trained**2, 4), np.float32)
    square = torch.tensor(embedding[:, 1:]).reshape(1, trained, trained, 4).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(square.double(), scale_factor=(grid + 0.1) / trained, mode="bicubic")
    found = resampled(embedding, grid)
    assert found.shape == (1, 1 + grid**2, 4)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0], embedding[:, 0])
    moved = wanted.permute(0, 2, 3, 1).reshape(1, grid**2, 4).numpy()
    np.testing.assert_allclose(found[:, 1:], moved, rtol=0, atol=1e-6)  # rounded to float32 once


def test_the_same_grid_is_left_alone() -> None:
    embedding = np.zeros((1, 1 + 16, 4), np.float32)
    assert resampled(embedding, 4) is embedding


def test_patches_of_no_square_are_left_for_the_check_of_shapes() -> None:
    embedding = np.zeros((1, 1 + 12, 4), np.float32)
    assert resampled(embedding, 4) is embedding
