"""One training step of any objective: compiled once, in place, the batch split over all devices."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from engine.errors import InputError
from engine.training.natural import Spared, drawn, natural_step
from engine.training.optimiser import Optimiser
from engine.training.state import AXIS, TrainState, device_mesh
from models.parts.strided import PRODUCTS

Batch = Mapping[str, jax.Array]
Terms = dict[str, jax.Array]
# (params, statistics, batch, key) -> (loss, (terms, new statistics)); pure
Objective = Callable[[Any, Any, Batch, jax.Array], tuple[jax.Array, tuple[Terms, Any]]]

OWN_TERMS = ("loss", "gradient_norm", "parameter_norm", "learning_rate")


class Step(NamedTuple):
    """A compiled step.

    Attributes:
        run: (state, placed batch) -> (next state, terms, whether loss, gradient and new state are finite). The state
            given is used up. The terms are the objective's and :data:`OWN_TERMS`, float32 scalars; the norm of the
            gradient is that of the trained parameters before clipping.
        place: arrays of this process's examples -> the batch of all processes, split over the devices.
        takes: (state, placed batch) -> bytes that :attr:`run` will hold on this process's devices, together, beside
            what it is given; compiles it. None where the compiler does not say.
    """

    run: Callable[[TrainState, Batch], tuple[TrainState, Terms, jax.Array]]
    place: Callable[[Mapping[str, np.ndarray]], Batch]
    takes: Callable[[TrainState, Batch], int | None]


def make_step(
    objective: Objective,
    optimiser: Optimiser,
    *,
    frozen_statistics: bool,
    ema: float | None = None,
    remat: bool = False,
    spared: Spared | None = None,
) -> Step:
    """A step of gradient descent on the objective's loss.

    g = d loss / d params; params <- params + update(g); ema <- ema d + params (1 - d) at every update; statistics are
    the objective's new ones, or stay.

    The batch is split over all devices along its first axis, and everything else is replicated; the compiler puts in
    the sums over devices. The objective still sees the whole batch, so a mean over examples, a batch normalisation or a
    matrix of similarities is that of all of them: the numbers do not depend on the number of devices, up to rounding.

    Args:
        objective: see :data:`Objective`. Which statistics normalise (running or the batch's) is its own matter.
        frozen_statistics: keeps the running statistics as they are, whatever the objective returns.
        ema: decay d of the moving average of the parameters; None keeps none. The state must agree.
        remat: in the backward pass, compute again what lies between convolutions and matrix products (normalisation,
            activations, pooling) instead of keeping it: less memory, the same values, somewhat more time. So on
            accelerators. XLA's CPU backend drops the barriers that keep the two computations apart before it orders
            them and merges equal ones: what is computed again moves into the forward pass and is kept, and a network
            with batch normalisation saves nothing there.
        spared: the answers that the natural gradient leaves as they are, as far as it can; only with it.
    """
    if ema is not None and not 0 < ema < 1:
        raise InputError(f"ema={ema}: wanted a decay between 0 and 1, such as 0.999, or null")
    if optimiser.natural != (spared is not None):
        raise InputError("method=natural: wanted an objective with a classifier's answers; take adamw or sgd")
    mesh = device_mesh()
    replicated, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXIS))
    if remat:
        objective = jax.checkpoint(objective, policy=_keep_products)

    def update(state: TrainState, batch: Batch, pictures: jax.Array | None) -> tuple[TrainState, Terms, jax.Array]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        (loss, (terms, statistics)), gradient = jax.value_and_grad(objective, has_aux=True)(
            state.params, state.statistics, batch, key
        )
        if taken := sorted(set(terms) & set(OWN_TERMS)):
            raise ValueError(f"the objective's terms {taken} have names that the step uses")
        rate = optimiser.learning_rate(state.step // optimiser.accumulate)
        change, moments = optimiser.transform.update(gradient, state.optimiser, state.params)
        if spared is not None and pictures is not None:
            shown = drawn(pictures, jax.random.fold_in(key, 1))

            def answers(params: Any, images: jax.Array) -> jax.Array:
                return spared.answers(params, state.statistics, images)

            change = jax.lax.cond(
                (state.step + 1) % optimiser.accumulate == 0,
                lambda mean: natural_step(answers, state.params, shown, mean, optimiser.trained, rate),
                lambda mean: mean,  # zero: more batches are to come
                change,
            )
        params = optax.apply_updates(state.params, change)
        step = state.step + 1
        average = state.ema
        if ema is not None:
            updated = step % optimiser.accumulate == 0
            moved = optax.incremental_update(params, state.ema, 1 - ema)
            average = jax.tree.map(lambda new, old: jnp.where(updated, new, old), moved, state.ema)
        statistics = state.statistics if frozen_statistics else statistics
        trained = [each for each, on in zip(*map(jax.tree.leaves, (gradient, optimiser.trained)), strict=True) if on]
        values = (loss, optax.tree.norm(trained), optax.tree.norm(params), rate)
        own = {name: jnp.asarray(value, jnp.float32) for name, value in zip(OWN_TERMS, values, strict=True)}
        # The objective's terms are not asked: one may be undefined for a batch, such as a mean over none of its maps.
        finite = jnp.isfinite(jnp.stack([*own.values(), optax.tree.norm(statistics)])).all()
        own |= {name: jnp.asarray(value, jnp.float32) for name, value in terms.items()}
        return TrainState(params, statistics, average, moments, step, state.key), own, finite

    pictures = None if spared is None else jax.make_array_from_process_local_data(replicated, spared.images)
    compiled = jax.jit(update, donate_argnums=0, in_shardings=(replicated, None, None), out_shardings=replicated)

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Terms, jax.Array]:
        found: tuple[TrainState, Terms, jax.Array] = compiled(state, batch, pictures)
        return found

    def takes(state: TrainState, batch: Batch) -> int | None:
        found = compiled.lower(state, batch, pictures).compile().memory_analysis()
        return None if found is None else int(found.temp_size_in_bytes) * len(mesh.local_devices)

    def place(arrays: Mapping[str, np.ndarray]) -> Batch:
        here = len(mesh.local_devices)
        for name, array in arrays.items():
            if np.ndim(array) == 0 or len(array) % here:
                size = "no axis" if np.ndim(array) == 0 else f"{len(array)} examples"
                raise InputError(
                    f"'{name}' of a batch has {size}, to be split over {here} devices: give a batch size that is a "
                    f"multiple of {here}"
                )
        return {name: jax.make_array_from_process_local_data(split, np.asarray(each)) for name, each in arrays.items()}

    return Step(run, place, takes)


def _keep_products(primitive: Any, *inputs: Any, **settings: Any) -> Any:
    """Convolutions, and matrix products with weights, which have no batch axis as the scores of attention have."""
    if primitive in (jax.lax.conv_general_dilated_p, *PRODUCTS):
        return True
    return jax.checkpoint_policies.dots_with_no_batch_dims_saveable(primitive, *inputs, **settings)
