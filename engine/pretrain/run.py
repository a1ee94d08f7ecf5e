"""One training without labels: pictures divided, model trained on views of them, judged on those held out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.harmonize.division import Chosen
from engine.predictor import Stages
from engine.pretrain.recipes import Recipe
from engine.training.account import Report
from engine.training.batches import Batch, Order
from engine.training.course import Course, Judging, State, run_course
from engine.training.examples import Examples
from engine.training.heads import split_heads
from engine.training.log import read
from engine.training.optimiser import Settings, make_optimiser
from models.trainable import Trainable, kernels

MOST = 1024  # held-out pictures, whose views stay in memory


@dataclass(frozen=True)
class Plan:
    """How to train and to judge.

    Attributes:
        course: of training.
        held_out: share of the pictures that training is judged by; of many, :data:`MOST`.
        patience: judgements without a new best after which training stops; None for never.
    """

    course: Course
    held_out: float
    patience: int | None


@dataclass(frozen=True)
class Outcome:
    """What a training leaves.

    Attributes:
        params, statistics: of the best step, without heads.
        best: that step.
        trained, held_out: how many pictures.
        together: held-out pictures in a batch, on which the size of a contrastive score depends.
        before, after: held-out scores, of the start and of the best step.
    """

    params: Any
    statistics: Any
    best: int
    trained: int
    held_out: int
    together: int
    before: Mapping[str, float]
    after: Mapping[str, float]


def pretrain(
    model: Trainable,
    source: Examples,
    recipe: Recipe,
    plan: Plan,
    optimiser: Settings,
    *,
    folder: Path,
    identity: Mapping[str, object],
    stages: Stages,
    report: Callable[[Report], None] | None = None,
) -> Outcome:
    """Trains the model; goes on from ``folder``'s last checkpoint where there is one.

    Args:
        source: pictures; labels are not asked for.
        recipe: of the model.
        folder: of checkpoints and logs.
        identity: all that the numbers depend on; checkpoints of another are refused.
        report: called after every step.

    Raises:
        InputError: fewer pictures than a batch; settings that cannot be used; training that diverges, with the step.
    """
    course = plan.course
    trained, held_out = divide(len(source), plan)
    decayed = kernels(recipe.params)
    rule = make_optimiser(
        optimiser,
        recipe.params,
        batches=course.steps,
        batches_per_epoch=max(1, len(trained) // course.batch),
        decayed=decayed,
    )
    batches = recipe.views(Chosen(source, trained), course.order())
    together = min(course.batch, len(held_out))
    shown = _held_out(recipe, Chosen(source, held_out), Order(together, course.seed), stages)
    loss = jax.jit(recipe.judged)

    def scores(state: State) -> dict[str, float]:
        """Means over batches; what the objective draws is the same every time."""
        found = []
        for number, batch in enumerate(shown):
            value, (terms, _) = loss(*state, batch, jax.random.fold_in(jax.random.key(course.seed), number))
            found.append(jax.device_get({**terms, "loss": value}))
        means = {name: float(np.mean([each[name] for each in found], dtype=np.float64)) for name in found[0]}
        return recipe.scores(means, together)

    kept = run_course(
        (recipe.params, model.statistics),
        recipe.objective,
        rule,
        batches,
        Judging(scores, recipe.best, plan.patience),
        course,
        folder=folder,
        identity=identity,
        report=report,
    )
    judged = read(folder / "log" / "scores.csv")
    return Outcome(
        split_heads(kept.params)[0],
        kept.statistics,
        kept.step,
        len(trained),
        len(shown) * together,
        together,
        _row(judged, 0),
        _row(judged, kept.step),
    )


def divide(count: int, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to judge by, ascending, at random.

    Raises:
        InputError: fewer pictures are left to train on than a batch has.
    """
    batch, held_out = plan.course.batch, min(MOST, max(2, round(plan.held_out * count)))
    if count - held_out < batch:
        raise InputError(
            f"train.batch={batch}: of {count} picture{'s' * (count != 1)} {max(0, count - held_out)} are left to "
            f"train on after {min(count, held_out)} are held out; give more pictures, or a smaller batch"
        )
    order = np.random.default_rng(plan.course.seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def _row(judged: pd.DataFrame, step: int) -> dict[str, float]:
    table = judged[judged["step"] == step].drop(columns="step")
    return dict(zip(map(str, table.columns), table.to_numpy(np.float64)[0].tolist(), strict=True))


def _held_out(recipe: Recipe, source: Examples, order: Order, stages: Stages) -> list[Batch]:
    """One view (or pair) of each picture but those that fill no batch: always the same ones."""
    count = len(source) // order.batch
    advance = stages.stage("decoding held-out pictures", count * order.batch, "pictures")
    found = []
    for batch in islice(recipe.views(source, order), count):
        found.append(batch)
        advance(order.batch)
    return found
