"""Run a model over stimuli and summarise the named layers, within a memory budget.

One forward pass serves all layers that fit the budget together; the rest is done in further passes, of which
every one is compiled only up to its deepest layer. Early layers are large and cheap to recompute, so this costs
little and needs no disk. A layer larger than the whole budget is taken in slices of its units.
Several devices share the stimuli and then the layers (``spread.py``).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.gram import Summary, add, check_finite, summarise
from engine.spread import Blocks, Read, Slice, device_mesh, on_all, spread_summaries

Take = Callable[[Mapping[str, jax.Array]], Any]
Apply = Callable[[Any, jax.Array, Take], Any]
"""(params, images, take) -> take(layer -> images x ...), as :class:`models.port.Apply` says."""

# Images in one call. On a CPU few, so that the memory of one call serves the next instead of going back to the system.
BATCH = {"cpu": 16}
BATCH_ELSEWHERE = 128
ROWS = 160  # stimuli in one block of the Gram matrix: large enough for the product, small enough to skip half
MOST_BLOCKS = 4  # more spare little of the half that symmetry gives, in products that run slower
WIDEST = 131_072  # units of one matrix product; a CPU multiplies longer rows at two thirds of the speed


def plan(units: Mapping[str, int], stimuli: int, budget: int) -> list[list[Slice]]:
    """Which layers to capture together in each pass: as few deep passes as the budget in bytes allows.

    ``units`` lists the chosen layers in forward order. Passes are filled from the deepest layer backwards,
    because a pass costs as much as its deepest layer.
    """
    room = budget // (4 * stimuli)  # units of float32 that fit
    if room < 1:
        raise InputError(
            f"memory.budget of {budget / 1e9:.3g} GB cannot hold one unit for {stimuli} stimuli; "
            f"give at least {4 * stimuli / 1e9:.3g} GB"
        )
    passes: list[list[Slice]] = []
    free = 0
    for layer, size in reversed(list(units.items())):
        count = math.ceil(size / min(room, WIDEST))
        width = math.ceil(size / count)
        pieces = [Slice(layer, start, min(start + width, size)) for start in range(0, size, width)]
        # A layer is not spread over passes without need: every pass would compute all of it.
        if free < size <= room:
            free = 0
        for piece in reversed(pieces):
            if piece.stop - piece.start > free:
                passes.append([])
                free = room
            passes[-1].insert(0, piece)
            free -= piece.stop - piece.start
    return passes


def layer_summaries(
    apply: Apply,
    params: object,
    units: Mapping[str, int],
    images: np.ndarray,
    *,
    budget: int,
    advance: Callable[[int], None] = lambda images: None,
    read: Mapping[str, Read] = MappingProxyType({}),
    devices: Sequence[jax.Device] | None = None,
) -> Iterator[tuple[str, Summary]]:
    """Yields (layer, summary) for every layer in ``units``, as soon as each is complete.

    Args:
        apply: (params, uint8 images of shape b x h x w x 3, take) -> take({layer: b x ...}), pure and jittable.
        units: chosen layers in forward order -> number of units.
        images: n x h x w x 3, uint8, prepared for the model.
        budget: bytes that the captured activations may take at any time.
        advance: called after each batch with the number of images done.
        read: layer -> shown every block of its units (row blocks, number of the first unit) before they are dropped;
            it must not keep or change them.
        devices: that share the work; all of all processes by default, each of which must call this with the same.

    Raises:
        InputError: an activation is not finite; names the layer and counts the stimuli.
    """
    n = len(images)
    mesh = device_mesh(devices or jax.devices())
    several = mesh.devices.size > 1
    if several:
        params = on_all(params, mesh)
    unfinished: dict[str, Summary] = {}
    for pieces in plan(units, n, budget):
        forward, form = taking(apply, tuple(pieces)), blocks_of(n)
        if several:
            made = spread_summaries(forward, params, pieces, images, form, mesh, advance, read)
        else:
            made = _summaries(forward, params, pieces, images, form, advance, read)
        for piece, summary in made:
            check_finite(piece.layer, np.isfinite(np.diagonal(summary.gram)), "the weights")
            if piece.layer in unfinished:
                summary = add(unfinished.pop(piece.layer), summary)
            if summary.units == units[piece.layer]:
                yield piece.layer, summary
            else:
                unfinished[piece.layer] = summary


def image_passes(units: Mapping[str, int], stimuli: int, budget: int) -> int:
    """How many images ``layer_summaries`` will report through ``advance`` in total."""
    return len(plan(units, stimuli, budget)) * stimuli


def batch_size(stimuli: int) -> int:
    """Images in one call of the model."""
    return blocks_of(stimuli).batch


def blocks_of(stimuli: int) -> Blocks:
    """Equal row blocks of equal batches; the last is filled up."""
    count = min(max(1, round(stimuli / ROWS)), MOST_BLOCKS)
    most = BATCH.get(jax.default_backend(), BATCH_ELSEWHERE)
    batches = math.ceil(stimuli / count / most)  # in one block
    batch = 4 * math.ceil(stimuli / (count * batches) / 4)  # models may take a few images at a time
    return Blocks(math.ceil(stimuli / (batch * batches)), batches, batch)


@lru_cache(maxsize=8)  # passes of one model: the same function again is not traced and compiled again
def taking(apply: Apply, pieces: tuple[Slice, ...]) -> Callable[[Any, jax.Array], list[jax.Array]]:
    """The model up to the deepest of the pieces: (params, images) -> images x width of each."""

    def units(layers: Mapping[str, jax.Array]) -> list[jax.Array]:
        flat = {piece.layer: layers[piece.layer].reshape(len(layers[piece.layer]), -1) for piece in pieces}
        return [flat[piece.layer][:, piece.start : piece.stop] for piece in pieces]

    def forward(params: Any, images: jax.Array) -> list[jax.Array]:
        found: list[jax.Array] = apply(params, images, units)
        return found

    return forward


def _summaries(
    forward: Callable[[Any, jax.Array], list[jax.Array]],
    params: Any,
    pieces: Sequence[Slice],
    images: np.ndarray,
    form: Blocks,
    advance: Callable[[int], None],
    read: Mapping[str, Read],
) -> Iterator[tuple[Slice, Summary]]:
    """Of each piece, on one device."""
    blocks = _capture(forward, params, pieces, images, form, advance)
    for piece in pieces:
        if piece.layer in read:
            read[piece.layer](blocks[piece], piece.start)
        yield piece, summarise(blocks.pop(piece), len(images))


def _capture(
    forward: Callable[[Any, jax.Array], list[jax.Array]],
    params: Any,
    pieces: Sequence[Slice],
    images: np.ndarray,
    form: Blocks,
    advance: Callable[[int], None],
) -> dict[Slice, list[jax.Array]]:
    """Activations of the pieces for all images, as equal row blocks (stimuli x units), padded at the end."""
    n, run = len(images), jax.jit(forward)
    blocks: dict[Slice, list[jax.Array]] = {piece: [] for piece in pieces}
    for first in range(0, n, form.rows):
        buffers = [jnp.zeros((form.rows, piece.width), jnp.float32) for piece in pieces]
        for start in range(first, min(first + form.rows, n), form.batch):
            part = images[start : start + form.batch]
            padded = np.concatenate([part, np.zeros((form.batch - len(part), *part.shape[1:]), part.dtype)])
            buffers = _write(buffers, run(params, jnp.asarray(padded)), start - first)
            jax.block_until_ready(buffers)
            advance(len(part))
        for piece, buffer in zip(pieces, buffers, strict=True):
            blocks[piece].append(buffer)
    return blocks


def _put(buffers: list[jax.Array], rows: list[jax.Array], start: int) -> list[jax.Array]:
    return [
        jax.lax.dynamic_update_slice_in_dim(buffer, row.astype(buffer.dtype), start, axis=0)
        for buffer, row in zip(buffers, rows, strict=True)
    ]


# Donated, so that a batch is written into the block instead of copying the block.
_write = jax.jit(_put, donate_argnums=0)
