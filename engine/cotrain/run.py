"""One co-training: recordings divided, model judged on what is kept apart, trained, judged again.

The numbers come from the files beside this one and from engine.training; here they are put in order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from engine.cotrain.division import Divided
from engine.cotrain.plan import Plan
from engine.cotrain.task import Pictures, folder_as_task, stimuli_as_task, weighted
from engine.errors import InputError
from engine.harmonize import judge as harmonized
from engine.harmonize.loss import Harmonizer, harmonizer
from engine.predictor import Stages
from engine.training.account import Report
from engine.training.batches import Batches, training_batches
from engine.training.co_training import co_training, with_readouts
from engine.training.course import Judging, run_course
from engine.training.examples import Examples
from engine.training.heads import split_heads
from engine.training.neural_batches import Joined, neural_batches
from engine.training.optimiser import Settings, make_optimiser
from engine.training.step import Objective
from models.port import Model, layer_shapes
from models.preprocessing import normalise
from models.trainable import Trainable, frozen, kernels


@dataclass(frozen=True)
class Outcome:
    """What a co-training leaves.

    Attributes:
        params, statistics: of the step kept, without heads.
        step: that step.
        before, after: scores of every neuroid and layer, see :class:`engine.cotrain.held_out.Judge`.
        agreement: picture by picture, whether the answer is that of before; empty without a classifier.
    """

    params: Any
    statistics: Any
    step: int
    before: pd.DataFrame
    after: pd.DataFrame
    agreement: np.ndarray


def co_train(
    model: Trainable,
    found: Divided,
    task_pictures: tuple[Examples, np.ndarray] | None,
    plan: Plan,
    loss: Harmonizer,
    optimiser: Settings,
    *,
    folder: Path,
    identity: Mapping[str, object],
    stages: Stages,
    report: Callable[[Report], None] | None = None,
) -> Outcome:
    """Trains the model on its task and towards the responses; goes on from ``folder``'s last checkpoint.

    Args:
        found: see :func:`divide`.
        task_pictures: pictures of one's own, whole and as the model takes them; None takes the training stimuli.
        loss: of the task.
        folder: of checkpoints and logs.
        identity: all that the numbers depend on; checkpoints of another are refused.
        report: called after every step.

    Raises:
        InputError: a task for a model without a classifier; settings that cannot be used; training that diverges, with
            the step.
    """
    order = plan.course.order()
    neural = neural_batches(found.data, order._replace(batch=plan.neural_batch))
    answers = _answers(model, plan)
    shapes = layer_shapes(model.spec)
    units = {term.layer: prod(shapes[term.layer]) for term in plan.terms}
    neuroids = {region: table.shape[1] for region, table in found.data.responses.items()}
    params = with_readouts(model.params, plan.terms, units, neuroids)
    decayed = kernels(params)
    rule = make_optimiser(
        optimiser,
        params,
        batches=plan.course.steps,
        batches_per_epoch=max(1, len(found.data.images) // plan.neural_batch),
        decayed=decayed,
    )
    task = _task(model, found, task_pictures, plan, answers)
    objective = _objective(model, decayed, plan, loss)
    batches: Batches = neural
    if task is not None:
        area = (plan.smallest_view, plan.largest_view)
        views = training_batches([task.train], [1.0], model.spec.preprocessing, order, area=area)
        batches = Joined(views, neural)

    def as_model(params: Any, statistics: Any) -> Model:
        return frozen(model, split_heads(params)[0], statistics, "in training")

    def scores(state: tuple[Any, Any]) -> dict[str, float]:
        rows = found.selection(as_model(*state))
        return {"score": float(rows["score"].mean())}

    before = found.test(as_model(model.params, model.statistics), stages)
    kept = run_course(
        (params, model.statistics),
        co_training(objective, model.forward, plan.terms),
        rule,
        batches,
        Judging(scores, "score", keep_best=plan.best),
        plan.course,
        folder=folder,
        identity=identity,
        report=report,
    )
    end = split_heads(kept.params)[0], kept.statistics
    after = found.test(as_model(*end), stages)
    same = np.zeros(0, bool)
    if answers is not None:
        shown = found.held_out if task is None else task.test
        same = answers(end, shown) == answers((model.params, model.statistics), shown)
    return Outcome(*end, kept.step, before, after, same)


Answers = Callable[[tuple[Any, Any], np.ndarray], np.ndarray]


def _answers(model: Trainable, plan: Plan) -> Answers | None:
    """(parameters and statistics, images) -> class of each; None where the model has no classifier."""
    readout = model.spec.port().readout
    if readout is None:
        if plan.task_weight:
            raise InputError(
                f"model '{model.spec.name}' has no classifier, so it has no task to go on with: set task.weight=0"
            )
        return None

    def logits(state: tuple[Any, Any], images: jax.Array) -> jax.Array:
        found: jax.Array = model.forward(*state, images, take=lambda layers: layers[readout])[0]
        return found

    return harmonized.Judge(
        logits, partial(normalise, preprocessing=model.spec.preprocessing), plan.course.seed
    ).answers


def _task(
    model: Trainable,
    found: Divided,
    given: tuple[Examples, np.ndarray] | None,
    plan: Plan,
    answers: Answers | None,
) -> Pictures | None:
    """The pictures of the task, with the model's own answers; None where there is no task."""
    if not plan.task_weight or answers is None:
        return None
    own = partial(answers, (model.params, model.statistics))
    if given is None:
        return stimuli_as_task(found.data.images, found.held_out, own)
    return folder_as_task(*given, found.held_out, own, plan.held_out.stimuli, plan.course.seed)


def _objective(model: Trainable, decayed: Any, plan: Plan, loss: Harmonizer) -> Objective:
    """The task's, or none."""
    readout = model.spec.port().readout
    if not plan.task_weight or readout is None:
        return weighted(None, 0.0)
    normal = partial(normalise, preprocessing=model.spec.preprocessing)
    settings = loss._replace(map_weight=0.0, train=not plan.course.frozen_statistics)
    return weighted(harmonizer(model.forward, readout, decayed, normal, settings), plan.task_weight)
