import jax
import numpy as np
import pytest

from engine.errors import InputError
from engine.harmonize.human_maps import blur_kernel, evaluation_maps, resize_matrix, training_maps

MAPS = np.random.default_rng(0).uniform(0, 255, size=(2, 128, 96)).astype(np.float32)


def published_kernel() -> np.ndarray:
    """Element by element: meshgrid of x = -5 ... 4 along columns and y = 4 ... -5 along rows."""
    kernel = np.zeros((10, 10))
    for row, y in enumerate(range(4, -6, -1)):
        for column, x in enumerate(range(-5, 5)):
            kernel[row, column] = np.exp(-(x**2 + y**2) / 200) / (200 * np.pi)
    return kernel / kernel.sum()


def blurred(map_: np.ndarray) -> np.ndarray:
    """TensorFlow's SAME with stride 1 and ten weights: nine zeros in all, four before."""
    padded = np.pad(map_, ((4, 5), (4, 5)))
    kernel, found = published_kernel(), np.zeros(map_.shape)
    for i in range(10):
        for j in range(10):
            found += kernel[i, j] * padded[i : i + map_.shape[0], j : j + map_.shape[1]]
    return found


def resized(map_: np.ndarray, size: int, method: str) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(jax.image.resize(map_.astype(np.float64), (size, size), method, antialias=False))


def test_kernel_is_the_published_one() -> None:
    np.testing.assert_allclose(blur_kernel(), published_kernel(), rtol=1e-13)
    assert np.unravel_index(blur_kernel().argmax(), (10, 10)) == (4, 5)  # y = 0, x = 0


def test_maps_for_evaluation_equal_the_steps_one_by_one() -> None:
    wanted = [resized(blurred(resized(map_, 64, "linear")), 80, "linear") for map_ in MAPS]
    np.testing.assert_allclose(evaluation_maps(MAPS, 80), wanted, rtol=1e-6)


def test_maps_for_training_equal_the_steps_one_by_one() -> None:
    for map_, found in zip(MAPS, training_maps(MAPS, 80), strict=True):
        wanted = resized(blurred(resized(map_, 64, "cubic")), 80, "linear")
        wanted = wanted - wanted.min()
        np.testing.assert_allclose(found, wanted / (wanted.max() + 1e-5), atol=1e-6)
    assert not training_maps(np.zeros((1, 64, 64), np.uint8), 32).any()


def test_a_single_pixel_is_spread_up_and_left() -> None:
    """Of a map that needs no resizing, the blur of one pixel is the kernel turned around."""
    point = np.zeros((1, 64, 64), np.uint8)
    point[0, 30, 40] = 1
    found = evaluation_maps(point, 64)[0]
    np.testing.assert_allclose(found[25:35, 35:45], published_kernel()[::-1, ::-1], rtol=1e-6)
    assert np.count_nonzero(found) == 100
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (25, 34, 35, 44)


@pytest.mark.parametrize(("before", "after"), [(7, 5), (5, 12), (64, 64)])
def test_resizing_equals_jax_without_antialiasing(before: int, after: int) -> None:
    for method, name in (("bilinear", "linear"), ("bicubic", "cubic")):
        with jax.enable_x64(True):
            wanted = jax.image.resize(np.eye(before), (after, before), name, antialias=False)
        np.testing.assert_allclose(resize_matrix(before, after, method), wanted, atol=1e-14)


def test_bilinear_equals_pytorch() -> None:
    torch = pytest.importorskip("torch")
    points = torch.eye(9, dtype=torch.float64)[None]
    wanted = torch.nn.functional.interpolate(points, 4, mode="linear", align_corners=False)
    np.testing.assert_allclose(resize_matrix(9, 4, "bilinear"), wanted[0].T, atol=1e-14)


def test_bicubic_by_hand() -> None:
    """Halved: every new pixel lies between two old ones, where Keys' weights are -1/16, 9/16, 9/16, -1/16."""
    np.testing.assert_allclose(resize_matrix(8, 4, "bicubic")[1], [0, -1 / 16, 9 / 16, 9 / 16, -1 / 16, 0, 0, 0])
    np.testing.assert_allclose(resize_matrix(8, 4, "bicubic")[0, :3], np.array([9, 9, -1]) / 17)  # -1 lies outside


def test_bad_maps_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(64, 64\)"):
        evaluation_maps(np.zeros((64, 64)), 32)
    broken = MAPS.copy()
    broken[1, 3, 3] = np.nan
    with pytest.raises(InputError, match=r"human map 1 \(and 0 more\) of 2 is not finite"):
        training_maps(broken, 32)
    with pytest.raises(InputError, match="size 0"):
        training_maps(MAPS, 0)
