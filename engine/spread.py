"""The forward pass over several devices, of one process or of many: stimuli are divided among them, then layers.

Every device runs the same program on batches of the same size as one device alone would, each on batches of its own.
What comes out is exchanged, so that each device gets all stimuli of some slices of layers, and there the Gram matrices
are the same products of the same blocks as on one device. Nothing is summed over devices: only data move, and the
numbers are those of one device bit for bit where the compiler makes the same machine code for all, as on CPUs.

Per device, with D of them, b images a batch and U units in a pass of n stimuli: 1 / D of the forward pass and about
1 / D of the Gram products; 4 n U / D bytes kept and 4 b U sent in each of n / (b D) rounds, both more where one slice
is wider than U / D. More devices than batches bring nothing.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from engine import hosts
from engine.gram import Summary, summarise

AXIS = "devices"
REPLICATED, DIVIDED = PartitionSpec(), PartitionSpec(AXIS)
Read = Callable[[Sequence[jax.Array], int], None]


class Slice(NamedTuple):
    """Units ``start`` to ``stop`` of one layer, flattened."""

    layer: str
    start: int
    stop: int

    @property
    def width(self) -> int:
        return self.stop - self.start


class Blocks(NamedTuple):
    """How stimuli are cut, whatever the devices: ``number`` row blocks of ``batches`` batches of ``batch`` images."""

    number: int
    batches: int
    batch: int

    @property
    def rows(self) -> int:
        return self.batches * self.batch


def device_mesh(devices: Sequence[jax.Device]) -> Mesh:
    """The devices in one row."""
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def on_all(params: Any, mesh: Mesh) -> Any:
    """The parameters on every device; each process gives all of them."""
    everywhere = NamedSharding(mesh, REPLICATED)
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(everywhere, np.asarray(leaf)), params)


def owners(pieces: Sequence[Slice], devices: int) -> list[list[Slice]]:
    """Which slices each device summarises: the widest first, each to the device that has the fewest units."""
    found: list[list[Slice]] = [[] for _ in range(devices)]
    for piece in sorted(pieces, key=lambda each: -each.width):
        min(found, key=lambda own: sum(each.width for each in own)).append(piece)
    return found


def spread_summaries(
    forward: Callable[[Any, jax.Array], list[jax.Array]],
    params: Any,
    pieces: Sequence[Slice],
    images: np.ndarray,
    blocks: Blocks,
    mesh: Mesh,
    advance: Callable[[int], None],
    read: Mapping[str, Read],
) -> Iterator[tuple[Slice, Summary]]:
    """The summary of each piece over all images, in all processes.

    Args:
        forward: (params, batch of images) -> batch x width of every piece.
        params: from :func:`on_all`.
        images: all of them, in every process.
        read: as :func:`engine.activations.layer_summaries` says; it is shown the blocks in every process.
    """
    own = owners(pieces, mesh.devices.size)
    whole = exchanged(forward, params, own, pieces, images, blocks, mesh, advance)
    owner = {piece: number for number, mine in enumerate(own) for piece in mine}
    offset = {piece: sum(each.width for each in mine[:at]) for mine in own for at, piece in enumerate(mine)}
    here = {shard.index[0].start or 0: shard.data for shard in whole.addressable_shards}

    def cut(piece: Slice) -> list[jax.Array]:
        data, at = here[owner[piece]], offset[piece]
        return [_cut(data, block * blocks.rows, at, blocks.rows, piece.width) for block in range(blocks.number)]

    def process(piece: Slice) -> int:
        return int(mesh.devices.flat[owner[piece]].process_index)

    for piece in pieces:
        if piece.layer in read:
            shown = _in_all(cut(piece) if owner[piece] in here else None, piece, blocks, process(piece))
            read[piece.layer](shown, piece.start)
    with ThreadPoolExecutor(len(here)) as pool:  # a thread for each device of this process

        def of_device(number: int) -> dict[Slice, Summary]:
            return {piece: summarise(cut(piece), len(images)) for piece in own[number]}

        made = {piece: summary for each in pool.map(of_device, here) for piece, summary in each.items()}
    del whole
    here.clear()
    for piece in pieces:
        yield piece, _told(made.pop(piece, None), len(images), piece.width, process(piece))


def exchanged(
    forward: Callable[[Any, jax.Array], list[jax.Array]],
    params: Any,
    own: Sequence[Sequence[Slice]],
    pieces: Sequence[Slice],
    images: np.ndarray,
    blocks: Blocks,
    mesh: Mesh,
    advance: Callable[[int], None],
) -> jax.Array:
    """Activations, devices x stimuli x units: each device's own pieces side by side, padded with zeros."""
    devices, batch, n = mesh.devices.size, blocks.batch, len(images)
    divided = NamedSharding(mesh, DIVIDED)
    rounds = math.ceil(blocks.number * blocks.batches / devices)
    width = max(sum(piece.width for piece in mine) for mine in own)
    over_devices = partial(jax.shard_map, mesh=mesh, check_vma=False)
    run = jax.jit(over_devices(forward, in_specs=(REPLICATED, DIVIDED), out_specs=DIVIDED))

    def place(whole: jax.Array, found: Sequence[jax.Array], first: jax.Array) -> jax.Array:
        of = dict(zip(pieces, found, strict=True))

        def sent(mine: Sequence[Slice]) -> jax.Array:
            filling = jnp.zeros((batch, width - sum(piece.width for piece in mine)), jnp.float32)
            return jnp.concatenate([*(of[piece].astype(jnp.float32) for piece in mine), filling], axis=1)

        # Device d has batch d of this round; what it gets from all of them is in the stimuli's order.
        got = jax.lax.all_to_all(jnp.stack([sent(mine) for mine in own]), AXIS, 0, 0, tiled=True)
        return jax.lax.dynamic_update_slice_in_dim(whole, got.reshape(1, devices * batch, width), first, axis=1)

    exchange = jax.jit(
        over_devices(place, in_specs=(DIVIDED, DIVIDED, REPLICATED), out_specs=DIVIDED), donate_argnums=0
    )
    shape = (devices, rounds * devices * batch, width)
    whole = jax.jit(partial(jnp.zeros, shape, jnp.float32), out_shardings=divided)()
    for first in range(0, rounds * devices * batch, devices * batch):

        def shown(index: Any, first: int = first) -> np.ndarray:
            part = images[first + index[0].start : first + index[0].stop]
            return np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), part.dtype)])

        given = jax.make_array_from_callback((devices * batch, *images.shape[1:]), divided, shown)
        whole = exchange(whole, run(params, given), np.int32(first))
        jax.block_until_ready(whole)
        advance(max(0, min(devices * batch, n - first)))
    return whole


def _in_all(blocks: list[jax.Array] | None, piece: Slice, form: Blocks, source: int) -> list[jax.Array]:
    """Blocks of one process on the first device of every process."""
    if hosts.several():
        given = [np.asarray(each) for each in blocks] if blocks else [np.zeros((form.rows, piece.width), np.float32)]
        given = given if blocks else given * form.number
        return [jnp.asarray(each) for each in hosts.broadcast(given, source)]
    return [jax.device_put(each, jax.local_devices()[0]) for each in blocks or ()]


def _told(summary: Summary | None, stimuli: int, units: int, source: int) -> Summary:
    """The summary that one process has made, in all."""
    if not hosts.several():
        assert summary is not None
        return summary
    if summary is None:
        nothing = np.zeros(stimuli, np.float32)
        summary = Summary(np.zeros((stimuli, stimuli), np.float32), nothing, nothing, 0.0, units)
    numbers = [summary.gram, summary.sums, summary.along_shift, np.array(summary.shift_squared, np.float64)]
    gram, sums, along, squared = hosts.broadcast(numbers, source)
    return Summary(gram, sums, along, float(squared), units)


@partial(jax.jit, static_argnames=("rows", "width"))
def _cut(data: jax.Array, row: int, unit: int, rows: int, width: int) -> jax.Array:
    return jax.lax.dynamic_slice(data, (0, row, unit), (1, rows, width))[0]
