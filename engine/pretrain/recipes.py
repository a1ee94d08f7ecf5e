"""What each way of training without labels needs: parameters, objective, views of pictures, held-out score."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax

from engine.errors import InputError
from engine.training.augment import Jitter
from engine.training.batches import Batches, Order, pair_batches, training_batches
from engine.training.examples import Examples
from engine.training.simclr import simclr, with_projection
from engine.training.step import Objective
from engine.training.vae import vae
from models.port import layer_shapes
from models.spec import ModelSpec
from models.trainable import Trainable

Views = Callable[[Examples, Order], Batches]
VAE = "vae"  # the zoo's variational autoencoder


class Recipe(NamedTuple):
    """One way of training without labels.

    Attributes:
        params: what is trained, with heads.
        objective: in training.
        judged: the same on held-out pictures, with running statistics.
        views: pictures, order -> endless batches.
        scores: (loss and terms of held-out pictures, pictures in a batch) -> what is logged.
        best: which of the scores, where higher is better, chooses the step that is kept.
    """

    params: Any
    objective: Objective
    judged: Objective
    views: Views
    scores: Callable[[Mapping[str, float], int], dict[str, float]]
    best: str


class Representation(NamedTuple):
    """The layer that SimCLR trains, and its channels."""

    layer: str
    channels: int


def representation(spec: ModelSpec) -> Representation:
    """The last layer before the classifier.

    Raises:
        InputError: the model is the autoencoder.
    """
    if spec.name == VAE:
        raise InputError(f"model={VAE} with objective=simclr: its last layers draw pictures; wanted objective=vae")
    layer, shape = list(layer_shapes(spec).items())[-1]
    return Representation(layer, shape[-1])


def check_autoencoder(spec: ModelSpec, computes_in: str) -> None:
    """Raises InputError where the model is not the autoencoder, or not as it can be trained."""
    if spec.name != VAE:
        raise InputError(f"model={spec.name} with objective=vae: wanted model={VAE}, or objective=simclr")
    if computes_in != "float32":
        raise InputError(f"train.dtype={computes_in} with objective=vae: wanted float32")


def contrastive(
    model: Trainable,
    found: Representation,
    *,
    temperature: float,
    jitter: float,
    area: tuple[float, float],
    frozen_statistics: bool,
    seed: int,
) -> Recipe:
    """SimCLR, of any model.

    The held-out score is ``information``, log(2 b - 1) - NT-Xent: what a view tells about which picture it is of, a
    lower bound in nats (van den Oord, Li & Vinyals, 2018), 0 for a model that tells nothing.

    Args:
        found: of :func:`representation`.
        temperature: of the loss.
        jitter: strength of the changes of colour; 1 is as published for ImageNet, 0.5 for small pictures.
        area: smallest and largest share of a picture that a view shows.
        seed: of the projection.

    Raises:
        InputError: the model has nothing to be trained.
    """
    if not jax.tree.leaves(model.params):
        raise InputError(f"model '{model.spec.name}' has no parameters, so nothing of it can be trained")
    own = Jitter()
    colours = own._replace(**{name: value * jitter for name, value in own._asdict().items() if name in CHANGED})

    def views(source: Examples, order: Order) -> Batches:
        return pair_batches([source], [1.0], model.spec.preprocessing, order, colours, area)

    def scores(terms: Mapping[str, float], batch: int) -> dict[str, float]:
        return {"information": math.log(2 * batch - 1) - terms["nt_xent"], "accuracy": terms["accuracy"]}

    of_mode = partial(simclr, model.forward, found.layer, temperature)
    return Recipe(
        with_projection(model.params, found.channels, jax.random.key(seed)),
        of_mode(train=not frozen_statistics),
        of_mode(train=False),
        views,
        scores,
        "information",
    )


CHANGED = ("brightness", "contrast", "saturation", "hue")  # of a jitter: how far, not how often


def variational(model: Trainable, *, beta: float, likelihood: str, sigma: float, area: tuple[float, float]) -> Recipe:
    """The variational autoencoder.

    The held-out score is ``bound``, the evidence lower bound in nats per picture, with beta in it; and its two terms.

    Args:
        beta, likelihood, sigma: of :func:`engine.training.vae.vae`.
        area: smallest and largest share of a picture that is shown; 1 and 1 show all but what makes it longer than 4:3.
    """

    def views(source: Examples, order: Order) -> Batches:
        return training_batches([source], [1.0], model.spec.preprocessing, order, area=area)

    def scores(terms: Mapping[str, float], batch: int) -> dict[str, float]:
        return {"bound": -terms["loss"], "reconstruction": terms["reconstruction"], "divergence": terms["divergence"]}

    objective = vae(beta, likelihood, sigma)
    return Recipe(model.params, objective, objective, views, scores, "bound")
