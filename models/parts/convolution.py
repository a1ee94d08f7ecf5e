"""Convolutions over images x height x width x channels, each in the form that is fast where it runs.

XLA's CPU backend runs a grouped convolution about ten times slower than the machine could, and one of few input
channels somewhat slower, while its matrix products and fused elementwise loops run near the peak. So on CPU a
depthwise convolution is a sum of shifted products, and one over red, green and blue or few positions a matrix product
over patches; accelerators get ``lax.conv_general_dilated``. All forms are the same sum in another order.

Every product runs at the precision below. The accelerators' defaults (TF32, bfloat16 passes) would cost two to
four digits, unseen.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from models.parts.strided import strided

PRECISION = lax.Precision.HIGHEST

Padding = tuple[tuple[int, int], tuple[int, int]]
"""Zeros before and after, along height and along width."""


def same(images: jax.Array, kernel: int, stride: int) -> Padding:
    """TensorFlow's SAME padding: ceil(size / stride) outputs, the odd zero last. Depends on the images' size."""

    def along(size: int) -> tuple[int, int]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2

    return along(images.shape[1]), along(images.shape[2])


def pointwise(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """1x1 convolution: a matrix product over channels. kernel: 1 x 1 x in x out."""
    return lax.dot_general(images, kernel[0, 0], (((3,), (0,)), ((), ())), precision=PRECISION)


def patchwise(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution over patches side by side, with the kernel's size as stride: one matrix product.

    kernel: size x size x in x out. Rows and columns that fill no patch are left out.
    """
    size, _, channels, out = kernel.shape
    count, rows, columns = len(images), images.shape[1] // size, images.shape[2] // size
    whole = images[:, : rows * size, : columns * size]
    patches = whole.reshape(count, rows, size, columns, size, channels).transpose(0, 1, 3, 2, 4, 5)
    return pointwise(patches.reshape(count, rows, columns, -1), kernel.reshape(1, 1, -1, out))


def dense(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Convolution of all input channels. kernel: height x width x in x out.

    Equals ``torch.nn.functional.conv2d`` on the padded images, axes aside.
    """
    if stride == 1:
        return lax.conv_general_dilated(
            images, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=PRECISION
        )
    return strided(images, kernel, stride, padding, PRECISION)


def dense_by_patches(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """The same as :func:`dense`; faster on CPU for small kernels over red, green and blue, and for few positions."""
    return lax.platform_dependent(
        images,
        kernel,
        cpu=lambda images, kernel: _over_patches(images, kernel, stride, padding),
        default=lambda images, kernel: dense(images, kernel, stride, padding),
    )


def depthwise(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Convolution of each channel with its own kernel: height x width x 1 x channels.

    Equals ``torch.nn.functional.conv2d(..., groups=channels)`` on the padded images, axes aside.
    """
    return lax.platform_dependent(
        images,
        kernel,
        cpu=lambda images, kernel: _shifted_sums(images, kernel, stride, padding),
        default=lambda images, kernel: grouped(images, kernel, stride, padding, images.shape[-1]),
    )


def grouped(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding, groups: int) -> jax.Array:
    """Convolution within each of ``groups`` equal groups of channels. kernel: height x width x in / groups x out.

    Equals ``torch.nn.functional.conv2d(..., groups=groups)`` on the padded images, axes aside.
    """
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=PRECISION,
    )


def _shifted_sums(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    if kernel.shape[0] < 7:
        return _shifted_sum(images, kernel, stride, padding)
    # A long sum that several operations read, such as a normalisation, XLA would compute again in each of them. What
    # comes out of a loop is stored; smaller kernels lose more by the loop than they gain.
    return lax.map(lambda image: _shifted_sum(image[None], kernel, stride, padding)[0], images)


def _shifted_sum(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    row, column, _, _ = kernel.shape
    weights = kernel.reshape(row * column, -1)
    shifted = _shifts(images, row, column, stride, padding)
    total = next(shifted) * weights[0]
    for index, image in enumerate(shifted, 1):
        total += image * weights[index]
    return total


def _over_patches(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    rows, columns, channels, out = kernel.shape
    # Along one axis after the other: rows + columns copies to compile instead of rows x columns.
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    across = jnp.concatenate([_every(padded, 2, j, columns, stride) for j in range(columns)], axis=-1)
    patches = jnp.concatenate([_every(across, 1, i, rows, stride) for i in range(rows)], axis=-1)
    return pointwise(patches, kernel.reshape(1, 1, rows * columns * channels, out))


def _every(x: jax.Array, axis: int, start: int, kernel: int, stride: int) -> jax.Array:
    """What the kernel's position ``start`` sees along one axis."""
    last = (x.shape[axis] - kernel) // stride * stride
    return lax.slice_in_dim(x, start, start + last + 1, stride, axis)


def _shifts(images: jax.Array, row: int, column: int, stride: int, padding: Padding) -> Iterator[jax.Array]:
    """What each of the row x column kernel positions sees, in the kernel's order."""
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    count, height, width, channels = padded.shape
    last_row, last_column = (height - row) // stride * stride, (width - column) // stride * stride
    for i in range(row):
        for j in range(column):
            stop = (count, i + last_row + 1, j + last_column + 1, channels)
            yield lax.slice(padded, (0, i, j, 0), stop, (1, stride, stride, 1))
