"""Targets in blocks: equally wide, spread over devices, read again for each penalty where they do not fit memory."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from engine.solvers.blocks import limited
from engine.solvers.missing import Pattern, Responses, columns

CPU_WIDTH = 256  # targets per device and block: few enough that sums stay in cache from product to product
ACCELERATOR_WIDTH = 8192
HELD = 2**30  # bytes of responses kept on the devices; more are read from the source once per penalty

REPLICATED, TARGETS = PartitionSpec(), PartitionSpec(None, "targets")


class Route(NamedTuple):
    """A way from a kernel or features to scores.

    Attributes:
        order: the stimuli as the blocks of responses must have them.
        at: penalty -> block of responses -> its ``PenaltyScores`` or ``Candidate``. What the first call computes
            serves all blocks.
    """

    order: np.ndarray
    at: Callable[[jax.Array], Callable[[jax.Array], Any]]


class Candidate(NamedTuple):
    """The fit on all stimuli at one penalty.

    Attributes:
        coefficients: stimuli x targets on the dual side, units + 1 x targets on the primal, the intercept last.
        selection: 1 x targets, mean inner score.
        broken: 1 x targets, some prediction is NaN.
    """

    coefficients: jax.Array
    selection: jax.Array
    broken: jax.Array


def target_mesh(devices: Sequence[jax.Device] | None) -> Mesh:
    """The devices in one row, all of this process's by default."""
    return Mesh(np.array(devices or jax.local_devices()), ("targets",), axis_types=(AxisType.Auto,))


def replicated(array: jax.Array, mesh: Mesh) -> jax.Array:
    """The array on every device."""
    return jax.device_put(array, NamedSharding(mesh, REPLICATED))


def cast(tree: Any, dtype: np.dtype) -> Any:
    """Its arrays of real numbers in that dtype; indices as they are."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def over_targets(work: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """``work(shared, *arrays)`` on every device for its own targets, the last axis of the arrays and of the results."""

    def spread(shared: Any, *arrays: jax.Array) -> Any:
        specs = (REPLICATED, *(TARGETS for _ in arrays))
        return jax.shard_map(work, mesh=mesh, in_specs=specs, out_specs=TARGETS)(shared, *arrays)

    return spread


def block_width(targets: int, mesh: Mesh) -> int:
    """Targets in a block: the same in all; on each device a multiple of 64, which products are quicker with."""
    devices = mesh.devices.size
    widest = (CPU_WIDTH if mesh.devices.flat[0].platform == "cpu" else limited(ACCELERATOR_WIDTH)) * devices
    count = -(-targets // widest)
    each = -(-targets // (count * devices))
    return (each if count == 1 else -(-each // 64) * 64) * devices


def held_most() -> int:
    """Bytes of responses that stay on the devices."""
    return limited(HELD)


class TargetBlocks:
    """Centred targets as arrays of stimuli x width; the last is filled up with zeros.

    All blocks have the same width, so that one compiled program serves them all. Iterating gives them in order.
    """

    def __init__(self, responses: Responses, pattern: Pattern, order: np.ndarray, dtype: np.dtype, mesh: Mesh) -> None:
        """Blocks of the pattern's targets, its stimuli in the given order."""
        self._responses, self._targets, self._means = responses, pattern.targets, pattern.means
        self._rows = pattern.stimuli[order]
        self._dtype, self._sharding = dtype, NamedSharding(mesh, TARGETS)
        self._width = block_width(len(pattern.targets), mesh)
        held = len(pattern.targets) * len(order) * np.dtype(dtype).itemsize <= held_most()
        self._held = list(self._read()) if held else None

    def __iter__(self) -> Iterator[jax.Array]:
        return iter(self._held) if self._held is not None else self._read()

    def _read(self) -> Iterator[jax.Array]:
        waiting = np.empty((len(self._rows), 0), self._dtype)
        for values in self._columns():
            joined = np.concatenate([waiting, values], axis=1) if waiting.size else values
            whole = joined.shape[1] - joined.shape[1] % self._width
            for start in range(0, whole, self._width):
                yield jax.device_put(joined[:, start : start + self._width], self._sharding)
            waiting = joined[:, whole:]
        if waiting.size:
            fill = ((0, 0), (0, self._width - waiting.shape[1]))
            yield jax.device_put(np.pad(waiting, fill), self._sharding)

    def _columns(self) -> Iterator[np.ndarray]:
        """Consecutive ranges of the targets; the next is read while one is worked on."""
        every = list(columns(self._responses))
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._centred, every[0])
            for following in every[1:]:
                values = coming.result()
                coming = reader.submit(self._centred, following)
                yield values
            yield coming.result()

    def _centred(self, part: slice) -> np.ndarray:
        first, last = np.searchsorted(self._targets, (part.start, part.stop)).tolist()
        values = np.asarray(self._responses[:, part])[self._rows]
        if last - first < values.shape[1]:
            values = values[:, self._targets[first:last] - part.start]
        return np.asarray(values - self._means[first:last], self._dtype)
