"""A convolution with a stride, whose second derivatives are convolutions that compilers know.

y = C(x, w), and with it the trilinear form T(x, w, g) = Σ C(x, w) g, have three maps, each linear in both arguments:

    C(x, w)   the convolution               = dT/dg
    X(g, w)   what images get back          = dT/dx
    K(x, g)   what the kernel gets back     = dT/dw

and the transpose of each in either argument is one of the other two: of X(g, w) it is C(., w) by g and K(., g) by w.
Here they are three primitives that know this, which gives derivatives of every order, forward and reverse.

``lax.conv_general_dilated`` gives the same numbers by another way: its X is a convolution over images with zeros
between their pixels, and that one's gradient by the kernel has images and kernel exchanged, dilated and reversed. XLA's
CPU backend computes it by plain loops (a known slowness, jax issue 31662), and a gradient of a gradient, as in the
harmonizer, needs it for every layer with a stride: 4 images' gradient of a function of a gradient through one of the
three large ones of a ResNet-50 takes 0.67, 0.99 and 0.80 s of one core that way, and 0.16, 0.06 and 0.04 s this way.
Without a stride there are no zeros, and JAX's own derivatives are C, X and K. A transposed convolution is X.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Padding = tuple[tuple[int, int], tuple[int, int]]
Map = Callable[..., jax.Array]


def strided(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding, precision: lax.Precision) -> jax.Array:
    """The convolution C.

    Equals ``torch.nn.functional.conv2d(images, kernel, stride=stride)`` on the padded images, axes aside.

    Args:
        images: images x height x width x in.
        kernel: height x width x in x out, of the same dtype.
        stride: along height and width.
        padding: zeros around.
        precision: of the products.
    """
    found: jax.Array = C.bind(images, kernel, stride=stride, padding=padding, precision=precision)
    return found


def transposed(
    slope: jax.Array, kernel: jax.Array, size: tuple[int, int], stride: int, padding: Padding, precision: lax.Precision
) -> jax.Array:
    """The transposed convolution X: images x rows x columns x out -> images x height x width x in.

    Equals ``torch.nn.functional.conv_transpose2d`` with the same kernel, axes aside.

    Args:
        slope: what comes out of the convolution C, or anything of its shape.
        kernel: of C, height x width x in x out.
        size: height and width of the images that C takes.
        stride, padding, precision: of C.
    """
    shape = (len(slope), *size, kernel.shape[2])
    found: jax.Array = X.bind(slope, kernel, shape=shape, stride=stride, padding=padding, precision=precision)
    return found


def _convolved(
    images: jax.Array, kernel: jax.Array, *, stride: int, padding: Padding, precision: lax.Precision
) -> jax.Array:
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=precision,
    )


def _to_images(slope: jax.Array, kernel: jax.Array, *, shape: tuple[int, ...], **how: Any) -> jax.Array:
    images = jax.ShapeDtypeStruct(shape, slope.dtype)
    found: jax.Array = jax.linear_transpose(lambda images: _convolved(images, kernel, **how), images)(slope)[0]
    return found


def _to_kernel(images: jax.Array, slope: jax.Array, *, shape: tuple[int, ...], **how: Any) -> jax.Array:
    kernel = jax.ShapeDtypeStruct(shape, slope.dtype)
    found: jax.Array = jax.linear_transpose(lambda kernel: _convolved(images, kernel, **how), kernel)(slope)[0]
    return found


def _primitive(name: str, value: Map) -> Any:
    made: Any = Primitive(name)

    def shape_of(*arguments: Any, **how: Any) -> ShapedArray:
        found = jax.eval_shape(partial(value, **how), *arguments)
        return ShapedArray(found.shape, found.dtype)

    def batched(arguments: Any, axes: Any, **how: Any) -> tuple[jax.Array, int]:
        return jax.vmap(partial(value, **how), axes)(*arguments), 0

    made.def_impl(value)
    made.def_abstract_eval(shape_of)
    mlir.register_lowering(made, mlir.lower_fun(value, multiple_results=False))
    batching.primitive_batchers[made] = batched
    return made


C = _primitive("strided_convolution", _convolved)
X = _primitive("strided_convolution_to_images", _to_images)
K = _primitive("strided_convolution_to_kernel", _to_kernel)
PRODUCTS = (C, X, K)
"""Primitives whose values rematerialisation keeps, as it keeps those of other convolutions."""

# (what the value gets back, the arguments) -> what one argument gets back; that one is known by its shape alone.
ad.defbilinear(
    C,
    lambda g, x, w, **how: X.bind(g, w, shape=x.aval.shape, **how),
    lambda g, x, w, **how: K.bind(x, g, shape=w.aval.shape, **how),
)
ad.defbilinear(
    X,
    lambda h, g, w, shape, **how: C.bind(h, w, **how),
    lambda h, g, w, shape, **how: K.bind(h, g, shape=w.aval.shape, **how),
)
ad.defbilinear(
    K,
    lambda v, x, g, shape, **how: X.bind(g, v, shape=x.aval.shape, **how),
    lambda v, x, g, shape, **how: C.bind(x, v, **how),
)
