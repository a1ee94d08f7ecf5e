"""What training carries from step to step, as one tree of arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from engine.training.optimiser import Optimiser

AXIS = "data"  # the one mesh axis: examples of a batch


class TrainState(NamedTuple):
    """Everything a step reads and writes; the same on every device.

    Attributes:
        params: nested dictionaries of float32 arrays.
        statistics: running means and variances of batch normalisation, likewise; {} where there are none.
        ema: like ``params``: their exponential moving average; {} where none is kept.
        optimiser: optax's state.
        step: int32; batches done.
        key: uint32 key data; step s draws from it folded with s, so that a resumed step draws the same.
    """

    params: Any
    statistics: Any
    ema: Any
    optimiser: Any
    step: jax.Array
    key: jax.Array


def device_mesh() -> Mesh:
    """All devices of all processes, in one axis."""
    return jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))


def initial_state(params: Any, statistics: Any, optimiser: Optimiser, *, seed: int, ema: bool = False) -> TrainState:
    """The state before the first step, on all devices; copies, because a step gives its state's memory away.

    Args:
        ema: whether a moving average of the parameters is kept; it starts from them.
    """
    state = TrainState(
        params,
        statistics,
        params if ema else {},
        optimiser.transform.init(params),
        jnp.zeros((), jnp.int32),
        jax.random.key_data(jax.random.key(seed)),
    )
    everywhere = NamedSharding(device_mesh(), PartitionSpec())
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(everywhere, np.array(leaf)), state)
