"""The components of partial least squares (NIPALS) from a Gram matrix, for many train sets of one recording together.

Take one train set, X and Y centred over it and zero elsewhere, K = X X'. Every NIPALS weight vector is w = X' Y c for
some c with one entry per target, so the iteration runs on M = Y' K Y (targets x targets):

    c <- M c / sqrt((M c)' M (M c)),    until |w - w_old|^2 = (c - c_old)' M (c - c_old) < tol.

With u = Y c the score is t = K u, h = t / |t| its direction and g = h' Y its loading. X and Y stay as they are; instead
of deflating them, u, t and v = K h are made orthogonal to all earlier h, and with z = v' Y

    M <- M - z' g - g' z + (h' K h) g' g.

The rows of K outside the train set give h of held-out stimuli along the way. Where targets outnumber stimuli, the
iteration runs on L with L L' = Y Y' instead of Y, from the same start.

Cost for n stimuli and t targets: 2 n^2 t flops for K Y, from which M of every train set follows by taking off what
the left-out stimuli put in; then per component two passes over K for all train sets together (4 n^2 flops for each)
and 2 t^2 flops per train set and turn. Ten train sets of 3200 stimuli, 168 targets, 25 components, 1000 turns each:
3.4 + 10 + 0.6 Gflop, and K read 50 times (4.1 GB in float64), where scikit-learn reads each X four times per turn.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.solvers.threads import one_for_lapack

HELD = 2**23  # numbers that train sets solved together may take, where that is more than two kernels

_einsum = partial(jnp.einsum, precision="highest")


class Components(NamedTuple):
    """One train set's components; zero from the one on at which nothing was left to explain.

    Attributes:
        scores: component x stimulus, h; orthonormal over the train set.
        duals: component x stimulus, u; zero outside the train set.
        turns: of the iteration, for each component.
    """

    scores: jax.Array
    duals: jax.Array
    turns: jax.Array


class Shared(NamedTuple):
    """What all train sets have in common.

    Attributes:
        kernel: centred over all stimuli.
        bordered: [L, 1], with the responses or their square root for L.
        products: kernel times bordered.
        total: bordered' kernel bordered.
        largest: bounds of the largest eigenvalue of the kernel as given, whose rounding it has, and of L L'.
    """

    kernel: jax.Array
    bordered: jax.Array
    products: jax.Array
    total: jax.Array
    largest: tuple[jax.Array, jax.Array]


def components(
    kernel: jax.Array, responses: jax.Array, trains: np.ndarray, count: int, max_iter: int, tol: float
) -> Iterator[Components]:
    """The components of each train set in turn.

    Args:
        kernel: stimuli x stimuli.
        responses: stimuli x targets, centred over all stimuli, in the kernel's precision.
        trains: train set x stimulus, whether it is a member.
        count: components.
        max_iter: most turns for one component.
        tol: bound on the squared change of a weight vector of length one, below which the iteration ends.
    """
    n, targets = responses.shape
    # scikit-learn starts every component from the first target that is not constant.
    varies = np.stack([np.asarray(varied(responses, train)) for train in trains])
    first = varies.argmax(axis=1)
    root, starts = responses, jnp.asarray(np.eye(targets)[first] if targets <= n else 0, kernel.dtype)
    if targets > n:
        with one_for_lapack():
            root, starts = jax.block_until_ready(_square_root(responses, responses[:, first]))
    starts *= varies.any(axis=1, keepdims=True)
    shared = _share(kernel, root)

    # M is summed over the train set, or over the stimuli left out where these are fewer.
    inside = bool(2 * trains.sum() < trains.size)
    listed = trains if inside else ~trains
    rows = np.argsort(~listed, axis=1, kind="stable")[:, : listed.sum(axis=1).max()]
    weights = np.take_along_axis(listed, rows, axis=1)

    together = max(1, max(2 * n * n, HELD) // (starts.shape[1] ** 2 + 4 * count * n))
    size = -(-len(trains) // -(-len(trains) // together))
    for begin in range(0, len(trains), size):
        group = np.minimum(np.arange(begin, begin + size), len(trains) - 1)  # filled up, so that all have one shape
        given = trains[group], rows[group], weights[group], starts[group]
        found = _components(shared, *given, max_iter, tol, inside=inside, count=count)
        on_host = jax.device_get(found)
        for position in range(min(size, len(trains) - begin)):
            yield Components(*(array[position] for array in on_host))


@jax.jit
def varied(responses: jax.Array, train: jax.Array) -> jax.Array:
    """Whether each target takes more than one value in the train set."""
    return ((responses != responses[jnp.argmax(train)]) & train[:, None]).any(axis=0)


@jax.jit
def _square_root(responses: jax.Array, columns: jax.Array) -> tuple[jax.Array, jax.Array]:
    """L with L L' = Y Y', and for each of the given columns y of Y the row c with L c' = y."""
    values, vectors = jnp.linalg.eigh(jnp.matmul(responses, responses.T, precision="highest"))
    small = values <= len(values) * jnp.finfo(values.dtype).eps * values[-1]
    roots = jnp.sqrt(jnp.where(small, 1, values))
    along = jnp.matmul(columns.T, vectors, precision="highest")
    return jnp.where(small, 0, vectors * roots), jnp.where(small, 0, along / roots)


@jax.jit
def _share(kernel: jax.Array, responses: jax.Array) -> Shared:
    largest = jnp.linalg.norm(kernel), jnp.linalg.norm(responses) ** 2
    means = kernel.mean(axis=0)
    kernel = kernel - means - means[:, None] + means.mean()
    bordered = jnp.pad(responses, ((0, 0), (0, 1)), constant_values=1)
    products = jnp.matmul(kernel, bordered, precision="highest")
    return Shared(kernel, bordered, products, jnp.matmul(bordered.T, products, precision="highest"), largest)


@partial(jax.jit, static_argnames=("inside", "count"))
def _components(
    shared: Shared,
    trains: jax.Array,
    rows: jax.Array,
    weights: jax.Array,
    starts: jax.Array,
    max_iter: int,
    tol: float,
    *,
    inside: bool,
    count: int,
) -> Components:
    """Components of a group of train sets, which are the first axis of every array.

    Args:
        shared, trains, max_iter, tol, count: as above.
        rows, weights: the members of the train set or, unless ``inside``, the others; weight 0 fills up the list.
        starts: first c; zero where no target varies.
    """
    kernel, responses = shared.kernel, shared.bordered[:, :-1]
    train = trains.astype(kernel.dtype)
    members = train.sum(axis=1, keepdims=True)
    means = _einsum("sn,nt->st", train, responses) / members
    rounding = 8 * float(jnp.finfo(kernel.dtype).eps)
    largest_x, largest_y = shared.largest

    def centre(values: jax.Array) -> jax.Array:
        return values - (values * train).sum(axis=1, keepdims=True) / members

    def first_moment(given: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        listed, weight, mean = given
        part = shared.bordered[listed] * weight[:, None]
        full = _einsum("it,ij,ju->tu", part, kernel[listed[:, None], listed], part)
        if not inside:
            cross = _einsum("it,iu->tu", part, shared.products[listed])
            full += shared.total - cross - cross.T
        side = jnp.outer(mean, full[-1, :-1])
        return full[:-1, :-1] - side - side.T + full[-1, -1] * jnp.outer(mean, mean)

    State = tuple[jax.Array, jax.Array, Components]

    def component(k: int, state: State) -> State:
        moment, going, (scores, duals, turns) = state

        def orthogonal(values: jax.Array) -> jax.Array:
            return values - _einsum("skn,sk->sn", scores, _einsum("skn,sn->sk", scores, train * values))

        c, taken = _leading(moment, _start(moment, starts, rounding), going, max_iter, tol)
        u = train * orthogonal(_einsum("st,nt->sn", c, responses) - (c * means).sum(axis=1, keepdims=True))
        t = orthogonal(orthogonal(centre(_einsum("sn,nm->sm", u, kernel))))
        # What follows rounding alone is not a component: a Y that is used up, or an X in the direction of u.
        squared = (u * u).sum(axis=1)
        going &= squared > rounding**2 * largest_y * (c * c).sum(axis=1)
        going &= (u * t).sum(axis=1) > rounding * largest_x * squared
        h = t * (going / jnp.where(going, jnp.linalg.norm(train * t, axis=1), 1))[:, None]
        inner = train * h
        v = centre(_einsum("sn,nm->sm", inner, kernel))
        g = _einsum("sn,nt->st", inner, responses)
        z = _einsum("sn,nt->st", train * orthogonal(v), responses) - (inner * v).sum(axis=1, keepdims=True) / 2 * g
        found = Components(
            scores.at[:, k].set(h), duals.at[:, k].set(u * going[:, None]), turns.at[:, k].set(taken * going)
        )
        return moment - z[:, :, None] * g[:, None] - g[:, :, None] * z[:, None], going, found

    moment = jax.lax.map(first_moment, (rows, weights.astype(kernel.dtype), means))
    empty = jnp.zeros((len(train), count, len(kernel)), kernel.dtype)
    nothing = Components(empty, empty, jnp.zeros((len(train), count), jnp.int32))
    return jax.lax.fori_loop(0, count, component, (moment, starts.any(axis=1), nothing))[2]


def _start(moment: jax.Array, starts: jax.Array, rounding: float) -> jax.Array:
    """The usual start, or the first target that has something left to explain where that one has not."""
    left = jnp.diagonal(moment, axis1=1, axis2=2)
    floor = rounding * left.max(axis=1, keepdims=True)
    usual = _einsum("st,stu,su->s", starts, moment, starts)[:, None] > floor
    return jnp.where(usual, starts, jax.nn.one_hot((left > floor).argmax(axis=1), left.shape[1], dtype=left.dtype))


def _leading(
    moment: jax.Array, start: jax.Array, going: jax.Array, max_iter: int, tol: float
) -> tuple[jax.Array, jax.Array]:
    """The c that the iteration ends with, and its number of turns; of no meaning for train sets not going."""

    def scaled(c: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        square = (c * image).sum(axis=1, keepdims=True)
        scale = jax.lax.rsqrt(jnp.where(square > 0, square, 1))
        return c * scale, image * scale

    def image(c: jax.Array) -> jax.Array:
        return _einsum("stu,st->su", moment, c)

    State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]

    def turn(state: State) -> State:
        old, old_image, moving, turns = state
        new, new_image = scaled(old_image, image(old_image))
        change = ((new - old) * (new_image - old_image)).sum(axis=1)
        turns += moving
        new, new_image = (jnp.where(moving[:, None], *pair) for pair in ((new, old), (new_image, old_image)))
        return new, new_image, moving & (change >= tol) & (turns < max_iter), turns

    moving = going & (start.shape[1] > 1) & (max_iter > 1)  # with one target scikit-learn takes one turn
    first = (*scaled(start, image(start)), moving, jnp.ones(len(start), jnp.int32))
    c, _, _, turns = jax.lax.while_loop(lambda state: state[2].any(), turn, first)
    return c, turns
