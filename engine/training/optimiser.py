"""From settings to an optax optimiser: method, learning-rate schedule, clipping, accumulation, parameter groups."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from engine.errors import InputError, unknown

# The published schedule: (factor of the learning rate, epoch from which it holds); before the first, linear from 0.
PUBLISHED = ((1.0, 5.0), (0.1, 30.0), (0.01, 60.0), (0.001, 80.0))


@dataclass(frozen=True)
class Settings:
    """How parameters are updated.

    Attributes:
        method: ``sgd`` (Nesterov momentum; no weight decay, which is then a term of the loss), ``adamw``, or
            ``natural`` (:mod:`engine.training.natural`), whose steps are as long as the answers' change allows.
        learning_rate: its highest value; of ``natural``: nats of divergence of the answers that one step makes.
        schedule: ``constant``; ``published`` (:func:`published_schedule`); ``cosine``, to 0 at the last update.
        warmup: of ``constant`` and ``cosine``: updates over which the learning rate rises linearly from 0.
        momentum: of ``sgd``, and of the gradient that ``natural`` takes its step from.
        weight_decay: of ``adamw``, decoupled; of those parameters that the caller names as decayed.
        clip: largest global norm of the gradient of all trained parameters; None does not clip.
        accumulate: batches whose gradients are averaged into one update.
        multipliers: pattern over parameter paths -> factor of the learning rate; 0 freezes.
    """

    method: Literal["sgd", "adamw", "natural"] = "sgd"
    learning_rate: float = 0.01
    schedule: Literal["constant", "published", "cosine"] = "constant"
    warmup: int = 0
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float | None = None
    accumulate: int = 1
    multipliers: Mapping[str, float] = field(default_factory=dict)


class Optimiser(NamedTuple):
    """An optimiser, ready for a step.

    Attributes:
        transform: optax's; its update is zero but for the last of each ``accumulate`` batches.
        learning_rate: number of updates done -> learning rate of the next, before multipliers.
        accumulate: batches per update.
        trained: like the parameters, of bool: False where frozen.
        natural: whether the step is the natural gradient's; ``transform`` only adds up gradients then.
    """

    transform: optax.GradientTransformation
    learning_rate: optax.Schedule
    accumulate: int
    trained: Any
    natural: bool = False


def make_optimiser(
    settings: Settings, params: Any, *, batches: int, batches_per_epoch: int, decayed: Any = None
) -> Optimiser:
    """The optimiser of these parameters.

    In this order: the gradient is averaged over ``accumulate`` batches, clipped to the norm ``clip``, given to
    ``optax.sgd`` (equal to ``torch.optim.SGD(nesterov=True)``) or ``optax.adamw`` (equal to ``torch.optim.AdamW``), and
    the update is multiplied by its group's factor. Frozen parameters take part in none of it and keep every bit.
    Keras, with which the harmonizer was trained, keeps the learning rate inside the velocity, so right after a change
    of the learning rate its steps differ for some 1 / (1 - momentum) updates; at a constant rate they are equal.

    Args:
        params: nested dictionaries of arrays; only paths and shapes are used.
        batches: of the whole training, for ``cosine``.
        batches_per_epoch: for ``published``.
        decayed: like ``params``, of bool: what weight decay applies to, such as :func:`models.trainable.kernels`; None
            is all.

    Raises:
        InputError: a value out of range; a pattern that fits no parameter; everything frozen.
    """
    _check(settings, batches)
    factors = group_factors(settings.multipliers, params)
    trained = jax.tree.map(lambda factor: factor != 0, factors)
    if not any(jax.tree.leaves(trained)):
        raise InputError("every parameter is frozen: nothing can be trained; give fewer patterns the multiplier 0")
    schedule = _schedule(settings, batches // settings.accumulate, batches_per_epoch / settings.accumulate)
    natural = settings.method == "natural"
    partly = {name: factor for name, factor in settings.multipliers.items() if factor not in (0, 1)}
    if natural and partly:
        raise InputError(f"multipliers {partly} with natural, whose rate is of all parameters together: wanted 0 or 1")
    parts = [] if settings.clip is None else [optax.clip_by_global_norm(settings.clip)]
    if natural:
        parts.append(optax.trace(settings.momentum))
    elif settings.method == "sgd":
        parts.append(optax.sgd(schedule, settings.momentum or None, nesterov=settings.momentum > 0))
    else:
        mask = None if decayed is None else _of_trained(decayed, trained)
        parts.append(optax.adamw(schedule, weight_decay=settings.weight_decay, mask=mask))
    if any(factor not in (0, 1) for factor in jax.tree.leaves(factors)):
        own = _of_trained(factors, trained)
        parts.append(optax.stateless(lambda updates, _: jax.tree.map(jnp.multiply, updates, own)))
    transform: optax.GradientTransformation = optax.chain(*parts)
    if settings.accumulate > 1:
        transform = optax.MultiSteps(transform, settings.accumulate).gradient_transformation()
    if not all(jax.tree.leaves(trained)):
        # Outermost, so that frozen parameters have neither moments nor a place in the norm that is clipped.
        frozen = jax.tree.map(lambda on: not on, trained)
        transform = optax.selective_transform(transform, freeze_mask=frozen)
    return Optimiser(transform, schedule, settings.accumulate, trained, natural)


def published_schedule(learning_rate: float, updates_per_epoch: float) -> optax.Schedule:
    """Linear from 0 over 5 epochs, then the learning rate, x 0.1 from epoch 30, x 0.01 from 60, x 0.001 from 80.

    That of the neural harmonizer's training code (Fel, Felipe, Linsley, Serre, NeurIPS 2022): a step function, whatever
    its label says.
    """
    (_, warm), *_ = PUBLISHED

    def schedule(update: jax.typing.ArrayLike) -> jax.Array:
        epoch = jnp.asarray(update, jnp.float32) / updates_per_epoch
        value = learning_rate * epoch / warm
        for factor, start in PUBLISHED:
            value = jnp.where(epoch >= start, learning_rate * factor, value)
        return value

    return schedule


def paths(params: Any) -> list[str]:
    """Parameter paths such as ``layer1.0.conv1.weight``, in the order of ``jax.tree.leaves``."""
    return [_dotted(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def group_factors(multipliers: Mapping[str, float], params: Any) -> Any:
    """Like ``params``: the learning-rate factor of each, 1 where no pattern fits.

    A pattern is a path, the start of one up to a dot, or has wildcards (``*.bias``, ``layer?.*``). Where several fit,
    the last one given holds, so that ``{"*": 0, "head": 1}`` trains the head alone.

    Raises:
        InputError: a pattern fits no path (names the nearest), or a factor is negative or not finite.
    """
    names = paths(params)
    factors = dict.fromkeys(names, 1.0)
    for pattern, factor in multipliers.items():
        if not 0 <= factor < float("inf"):
            raise InputError(f"learning-rate multiplier of '{pattern}' is {factor}; wanted 0 (frozen) or more")
        fitting = _fitting(names, pattern)
        if not fitting:
            raise unknown("parameter or group of parameters", pattern, [*_groups(names), *names])
        factors.update(dict.fromkeys(fitting, float(factor)))
    return jax.tree.unflatten(jax.tree.structure(params), [factors[name] for name in names])


def _dotted(path: Sequence[Any]) -> str:
    return jax.tree_util.keystr(tuple(path), simple=True, separator=".")


def _groups(names: Sequence[str]) -> list[str]:
    parts = [name.split(".") for name in names]
    parents = (".".join(each[:depth]) for each in parts for depth in range(1, len(each)))
    return list(dict.fromkeys(parents))


def _fitting(names: Sequence[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatch.fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")]


def _of_trained(tree: Any, trained: Any) -> Any:
    """The tree without frozen parameters, as optax leaves them out of what it gives to the optimiser of the others."""
    return jax.tree.map(lambda leaf, on: leaf if on else optax.MaskedNode(), tree, trained)


def _schedule(settings: Settings, updates: int, updates_per_epoch: float) -> optax.Schedule:
    peak = settings.learning_rate
    if settings.schedule == "published":
        return published_schedule(peak, updates_per_epoch)
    if settings.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(0.0 if settings.warmup else peak, peak, settings.warmup, updates)
    if settings.warmup:
        return optax.linear_schedule(0.0, peak, settings.warmup)
    return optax.constant_schedule(peak)


def _check(settings: Settings, batches: int) -> None:
    for name, known in (("method", ("sgd", "adamw", "natural")), ("schedule", ("constant", "published", "cosine"))):
        if getattr(settings, name) not in known:
            raise unknown(name, getattr(settings, name), known)
    wrong = {
        "learning_rate": not 0 < settings.learning_rate < float("inf"),
        "momentum": not 0 <= settings.momentum < 1,
        "weight_decay": not 0 <= settings.weight_decay < float("inf"),
        "clip": settings.clip is not None and not 0 < settings.clip < float("inf"),
        "accumulate": not 1 <= settings.accumulate <= batches,
        "warmup": settings.warmup < 0,
    }
    wanted = {
        "learning_rate": "a positive number",
        "momentum": "at least 0 and less than 1",
        "weight_decay": "0 or more",
        "clip": "a positive number, or null",
        "accumulate": f"1 to the {batches} batches of the training",
        "warmup": "0 or more updates",
    }
    for name, bad in wrong.items():
        if bad:
            raise InputError(f"{name}={getattr(settings, name)}: wanted {wanted[name]}")
    if settings.method == "sgd" and settings.weight_decay:
        raise InputError(f"weight_decay={settings.weight_decay} with sgd: its weight decay is a term of the loss")
    updates = batches // settings.accumulate
    if settings.schedule == "cosine" and settings.warmup >= updates:
        raise InputError(f"warmup={settings.warmup}: wanted fewer than the {updates} updates of the training")
    if settings.schedule == "published" and settings.warmup:
        raise InputError(f"warmup={settings.warmup}: the published schedule has its own, of {PUBLISHED[0][1]:g} epochs")
