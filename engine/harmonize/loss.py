"""The neural harmonizer's loss as a training objective.

Fel et al. (Harmonizing the object recognition strategies of deep neural networks with humans, NeurIPS 2022):

    loss = cross-entropy + weight_decay ½ Σ w² + map_weight · map  (+ preserve · divergence)

cross-entropy: mean over the batch, labels smoothed (1 - a) y + a / classes;
½ Σ w²:        over the parameters named;
map:           ``engine.harmonize.pyramid.map_errors`` of the images that have a human map, the others masked.

divergence:    not published: KL(p before || p now) of the answers to the same views, mean over the batch. It keeps a
               model what it was while its gradients change (Li & Hoiem, Learning without Forgetting, ECCV 2016), for
               one forward pass more and the memory of a second set of parameters.

What the mean of the map term is over differs:

| parity     | levels of resolution | mean over                 | beside the maxima             |
|------------|----------------------|---------------------------|-------------------------------|
| None       | ``levels``           | the images that have maps | 1e-6 and 1e-6                 |
| "released" | ``levels`` (of ``levels`` + 1 that it builds) | the whole batch | 1e-6 and 1e-6   |
| "training" | ``levels`` + 1       | the whole batch           | human 1e-4, saliency nothing  |

"released" is the code published with the paper, "training" the older one that trained its models. With a mean over the
batch the images without a map dilute the term: where a fifth have maps, map_weight = 2 is what 0.4 is here. The two
also decay other parameters, which is the caller's to say: "released" all but those of normalisation, embeddings and
class tokens, so biases too; "training" all whose layer is not called ``bn``.

Cost: the cross-entropy shares its forward pass with the saliency. With one forward pass as the unit, plain training
costs 3 (forward, gradients of activations, of parameters), this loss about 6: forward 1, gradient with respect to the
image 1, and twice each of them for the gradient of both. (XLA counts 1.9 times the flops of plain training for
EfficientNet-Lite0, 2.0 times for ResNet-50.)

With the running statistics the logits of an image depend on that image alone, so its gradient is that of its own logit,
and what stands for an image without a map is multiplied by 0: it adds nothing to the term, nor to the term's gradient.
``mapped`` then leaves its share out, with the same numbers up to rounding: the images with a map are put first, only
they are differentiated, and the others go through an ordinary forward pass. A batch of which a share s has maps costs
3 + 3 s, at s = 0.2 1.2 times plain training. Statistics of the batch couple its images, each one's gradient holding its
effect on all logits: there the batch stays whole, as published.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, get_args

import jax
import jax.numpy as jnp
import optax

from engine.errors import InputError, unknown
from engine.harmonize.pyramid import Parity, map_errors
from engine.harmonize.saliency import Normalise, channel_mean, input_gradient, normalised
from engine.training.heads import KEY, split_heads, with_head
from engine.training.step import Batch, Objective, Terms

ORIGINAL = "original"
FROZEN = {f"{KEY}.{ORIGINAL}": 0.0}  # learning-rate multipliers that go with with_original


class Forward(Protocol):
    """A model as a function that can be trained; see :mod:`models.trainable`."""

    def __call__(
        self,
        params: Any,
        statistics: Any,
        images: jax.Array,
        *,
        train: bool = False,
        take: Callable[[Mapping[str, jax.Array]], Any] = ...,
    ) -> tuple[Any, Any]:
        """``take`` of the layers by name, and the new statistics of batch normalisation."""
        ...


class Harmonizer(NamedTuple):
    """What the loss is made of.

    Attributes:
        map_weight: of the map term; 0 leaves it and its cost out. Tuned for every model: the authors' code has 1 or 2
            for a default and lists 10 to 50 for a transformer, all with the mean over the batch.
        weight_decay: of half the sum of squares.
        label_smoothing: the share of the label given to all classes alike.
        levels: resolutions of the maps.
        parity: see above.
        preserve: of the divergence from the answers before training; needs :func:`with_original`.
        train: whether batch normalisation uses and updates the statistics of the batch; else the running ones stay.
        mapped: the most images with maps that a batch has; changes the cost only, and that where ``train`` is False.
            None where it is not known. With more in a batch the map term is NaN.
    """

    map_weight: float = 1.0
    weight_decay: float = 1e-5
    label_smoothing: float = 0.1
    levels: int = 5
    parity: Parity | None = None
    preserve: float = 0.0
    train: bool = True
    mapped: int | None = None


def harmonizer(forward: Forward, readout: str, decayed: Any, normalise: Normalise, settings: Harmonizer) -> Objective:
    """The objective: params, statistics, batch, key -> loss, (terms, new statistics).

    Args:
        forward: the model.
        readout: the name of its logits.
        decayed: True or False for every parameter, in a tree like that of the parameters (their heads included): which
            count for the decay; :func:`models.trainable.kernels` names the kernels.
        normalise: for uint8 images.
        settings: see :class:`Harmonizer`.

    Returns:
        A pure function. Its batch: ``image`` b x h x w x 3, uint8 or normalised float; ``label`` b, integer; ``map``
        b x h x w; ``has_map`` b, 1 or 0 (the last two only where map_weight > 0). The key is not used. Terms, as they
        are before their weights: ``cross_entropy``, ``weights`` (half the sum of squares), ``map`` (not where
        map_weight = 0), ``divergence`` (where preserve > 0), ``accuracy``, the share of the batch whose largest logit
        is the label's. A label that is no class makes the loss NaN.

    Raises:
        InputError: a setting that makes no sense; from the objective, where it is traced: maps unlike the images.
    """
    _check(settings)

    def objective(params: Any, statistics: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Terms, Any]]:
        del key
        model, heads = split_heads(params)  # other heads belong to terms that others add
        count = len(batch["label"])
        if settings.map_weight > 0:
            _check_maps(batch)
            if not settings.train and settings.mapped is not None and settings.mapped < count:
                count, batch = settings.mapped, _maps_first(batch)
        images, labels = normalised(batch["image"], normalise), batch["label"]

        def logits(images: jax.Array) -> tuple[jax.Array, Any]:
            return forward(model, statistics, images, train=settings.train, take=lambda layers: layers[readout])

        terms: Terms = {}
        if settings.map_weight > 0:
            gradient, answers, updated = input_gradient(logits, images[:count], labels[:count])
            terms["map"] = _map_term(channel_mean(gradient), batch["map"], batch["has_map"], settings)
            if count < len(labels):
                answers = jnp.concatenate([answers, logits(images[count:])[0]])
        else:
            answers, updated = logits(images)
        terms["cross_entropy"] = smoothed_cross_entropy(answers, labels, settings.label_smoothing)
        terms["weights"] = half_squares(params, decayed)
        loss = terms["cross_entropy"] + settings.weight_decay * terms["weights"]
        if "map" in terms:
            loss = loss + settings.map_weight * terms["map"]
        if settings.preserve:
            first = jax.lax.stop_gradient(heads[ORIGINAL])
            before, _ = forward(first["params"], first["statistics"], images, take=lambda layers: layers[readout])
            terms["divergence"] = divergence(before, answers)
            loss = loss + settings.preserve * terms["divergence"]
        terms["accuracy"] = (answers.argmax(-1) == labels).mean(dtype=loss.dtype)
        return loss, (terms, updated)

    return objective


def smoothed_cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float) -> jax.Array:
    """Mean over images; equals ``torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)``.

    Args:
        logits: images x classes.
        labels: images, integer; one that is no class makes the mean NaN.
        smoothing: between 0 and 1.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    wanted = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    wanted = jnp.where(wanted.sum(-1, keepdims=True) > 0, wanted, jnp.nan)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(wanted, smoothing)).mean()


def divergence(before: jax.Array, now: jax.Array) -> jax.Array:
    """Mean over images of KL(softmax(before) || softmax(now)), images x classes each: ``scipy.stats.entropy``."""
    before, now = (each.astype(jnp.promote_types(each.dtype, jnp.float32)) for each in (before, now))
    return optax.kl_divergence(jax.nn.log_softmax(now), jax.nn.softmax(before)).mean()


def with_original(params: Any, statistics: Any) -> dict[str, Any]:
    """The parameters, and beside them a copy of what they are now, which :data:`FROZEN` keeps from training."""
    return with_head(params, ORIGINAL, {"params": params, "statistics": statistics})


def half_squares(params: Any, decayed: Any) -> jax.Array:
    """½ Σ w² over the parameters for which ``decayed``, a tree of bools like that of the parameters, is True."""
    halves = jax.tree.map(lambda w, counts: 0.5 * jnp.square(w).sum() if counts else 0.0, params, decayed)
    return jnp.asarray(sum(jax.tree.leaves(halves)))


def _map_term(saliency: jax.Array, human: jax.Array, has_map: jax.Array, settings: Harmonizer) -> jax.Array:
    parity = settings.parity
    levels = settings.levels + 1 if parity == "training" else settings.levels
    has_map, count = has_map.astype(saliency.dtype), len(saliency)
    # The maps too: whatever stands in the place of a missing one, NaN included, must not come through.
    human = jnp.where(has_map[:count, None, None] > 0, human[:count], 0)
    error = (map_errors(saliency, human, levels, parity) * has_map[:count]).sum()
    error = jnp.where(has_map[count:].any(), jnp.nan, error)
    return error / len(has_map) if parity else error / jnp.maximum(has_map.sum(), 1)


def _maps_first(batch: Batch) -> Batch:
    order = jnp.argsort(batch["has_map"] <= 0, stable=True)
    return {name: batch[name][order] for name in ("image", "label", "map", "has_map")}


def _check(settings: Harmonizer) -> None:
    if settings.parity not in (None, *get_args(Parity)):
        raise unknown("parity", settings.parity, get_args(Parity))
    if settings.mapped is not None and settings.mapped < 1:
        raise InputError(f"mapped={settings.mapped}: wanted the most images with maps of a batch, 1 or more, or null")
    if settings.levels < 1:
        raise InputError(f"levels={settings.levels}: wanted 1 or more resolutions of the maps (the authors take 5)")
    if not 0 <= settings.label_smoothing < 1:
        raise InputError(f"label_smoothing={settings.label_smoothing}: wanted 0 or more and less than 1")
    for name in ("map_weight", "weight_decay", "preserve"):
        value = getattr(settings, name)
        if not 0 <= value < float("inf"):
            raise InputError(f"{name}={value}: wanted a finite number, 0 or more")


def _check_maps(batch: Batch) -> None:
    for name in ("map", "has_map"):
        if name not in batch:
            raise InputError(f"the batch has no '{name}', which the map loss needs: give maps, or map_weight=0")
    image, human, has_map = (batch[name].shape for name in ("image", "map", "has_map"))
    if human != image[:3] or has_map != image[:1]:
        raise InputError(
            f"maps of shape {human} and has_map of shape {has_map} do not fit images of shape {image}: wanted one map "
            f"for each image, of its height and width"
        )
