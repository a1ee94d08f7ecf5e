"""Training on a task and on recorded responses at once.

    loss = task loss + sum over terms of weight(step) * term(layer(neural pictures), responses of the region)

Neural pictures come in batches of their own, beside those of the task (:mod:`engine.training.neural_batches`):

    neural_image                b' x h x w x 3, as the model takes them
    neural_response:<region>    b' x neuroids, NaN where missing
    neural_step                 b', int32: number of batches before this one, all entries alike

A term may be off at first, so that the task is learnt before the responses count (the causal mode of Dapello et al.,
ICLR 2023: weight 0 for 2500 steps). The step comes with the batch: the objective stays a pure function, and since the
number is part of the batches' state, training that is resumed goes on where it was.

The neural pictures run through the model with its running statistics of batch normalisation, which they do not change,
as in the code published by Dapello et al. (their default): statistics belong to the pictures of the task.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from engine.errors import InputError, unknown
from engine.training.heads import split_heads, with_head
from engine.training.neural_terms import TERMS, readout_parameters
from engine.training.step import Batch, Objective, Terms
from models.trainable import Forward

IMAGE, RESPONSE, STEP = "neural_image", "neural_response:", "neural_step"
RAMPS = ("step", "linear")


class Term(NamedTuple):
    """One layer that should come closer to one region.

    Attributes:
        layer: of the model, by its public name.
        region: of the recordings.
        kind: see :mod:`engine.training.neural_terms`; ``linear`` needs :func:`with_readouts`.
        weight: factor in the loss, after warm-up.
        warm_up: batches before the term counts.
        ramp: ``step``: weight 0 for ``warm_up`` batches, then ``weight``; ``linear``: weight * (step / warm_up) at
            first, reaching ``weight`` after ``warm_up`` batches.
    """

    layer: str
    region: str
    kind: str = "log_cka"
    weight: float = 1.0
    warm_up: int = 0
    ramp: str = "step"

    @property
    def name(self) -> str:
        """What the value is called among the objective's terms."""
        return f"{self.kind}:{self.layer}:{self.region}"


def co_training(task: Objective, forward: Forward, terms: Sequence[Term]) -> Objective:
    """The task's objective with neural terms added.

    Its terms are the task's and, by :attr:`Term.name`, the value of every neural term (without weight, also during
    warm-up), and ``neural``, what they add to the loss. Statistics are those that the task returns. Heads are taken out
    of the parameters for ``forward`` and passed on to the task, which takes out its own.

    One forward pass of the neural pictures serves all terms; of its layers only those of the terms are kept.

    Args:
        task: any objective.
        forward: of the model that the task trains.
        terms: checked, see :func:`check`.
    """

    def objective(params: Any, statistics: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Terms, Any]]:
        loss, (values, new_statistics) = task(params, statistics, batch, key)
        model, heads = split_heads(params)

        def take(layers: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
            return {term.layer: layers[term.layer] for term in terms}

        layers, _ = forward(model, statistics, batch[IMAGE], train=False, take=take)
        step = jnp.max(batch[STEP])
        added = jnp.zeros((), jnp.float32)
        for term in terms:
            arguments = [layers[term.layer], batch[RESPONSE + term.region]]
            if term.kind == "linear":
                arguments.append(heads[term.name])
            value = TERMS[term.kind](*arguments)
            values = {**values, term.name: value}
            added += weight_at(term, step) * value
        return loss + added, ({**values, "neural": added}, new_statistics)

    return objective


def weight_at(term: Term, step: jax.Array | int) -> jax.Array:
    """The term's weight in the batch of that number, counted from 0."""
    if term.warm_up == 0:
        return jnp.float32(term.weight)
    share = jnp.asarray(step, jnp.float32) / term.warm_up
    return term.weight * (jnp.minimum(share, 1.0) if term.ramp == "linear" else jnp.floor(jnp.minimum(share, 1.0)))


def with_readouts(params: Any, terms: Iterable[Term], units: Mapping[str, int], neuroids: Mapping[str, int]) -> Any:
    """The parameters with a new readout for every term of kind ``linear``.

    Args:
        params: of the model, or with other heads.
        terms: of the co-training.
        units: layer -> number of units.
        neuroids: region -> number of columns of its responses in a batch.
    """
    for term in terms:
        if term.kind == "linear":
            params = with_head(params, term.name, readout_parameters(units[term.layer], neuroids[term.region]))
    return params


def check(terms: Sequence[Term], layers: Iterable[str], regions: Iterable[str]) -> None:
    """Refuses terms that name what is not there.

    Args:
        layers: of the model.
        regions: of the recordings.

    Raises:
        InputError: there is no term, or two alike; a layer, region, kind or ramp is not known (the nearest are named);
            a weight is not positive, or a warm-up negative.
    """
    if not terms:
        raise InputError("co-training without a term trains on the task alone; give a layer and a region")
    layers, regions, names = list(layers), list(regions), set()
    for term in terms:
        choices = (
            ("layer", term.layer, layers),
            ("region", term.region, regions),
            ("kind of neural term", term.kind, TERMS),
            ("ramp", term.ramp, RAMPS),
        )
        for what, given, known in choices:
            if given not in known:
                raise unknown(what, given, known)
        if not (math.isfinite(term.weight) and term.weight > 0):
            raise InputError(f"weight {term.weight} of the term {term.name}: wanted a positive number")
        if term.warm_up < 0 or term.warm_up != int(term.warm_up):
            raise InputError(
                f"warm-up {term.warm_up} of the term {term.name}: wanted a whole number of steps, 0 or more"
            )
        if term.name in names:
            raise InputError(f"the term {term.name} is given twice; give it once, with the sum of the weights")
        names.add(term.name)
