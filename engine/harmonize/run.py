"""One alignment: pictures divided, model judged, trained with human maps, the best step judged again.

The numbers come from the files beside this one and from engine.training; here they are put in order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from engine.errors import InputError
from engine.harmonize.alignment import HUMAN_CEILING, Alignment, alignment_difference, summarise
from engine.harmonize.division import divide
from engine.harmonize.human_maps import evaluation_maps, training_maps
from engine.harmonize.judge import Judge, Judged, Pictures
from engine.harmonize.loss import FROZEN, Harmonizer, harmonizer, with_original
from engine.harmonize.parts import Data, Parts, divided, parts_of, some
from engine.predictor import Stages
from engine.training.account import Report
from engine.training.batches import most_of_first, training_batches
from engine.training.course import Course, Judging, run_course
from engine.training.heads import split_heads
from engine.training.natural import Spared
from engine.training.optimiser import Settings, make_optimiser
from models.preprocessing import Fit, normalise
from models.trainable import Trainable, kernels

SPARED = 1000  # pictures of a source from which the natural gradient draws those whose answers are to stay
ADMISSIBLE = "admissible_alignment"  # the alignment; -1 where the model's answers have changed too much


@dataclass(frozen=True)
class Plan:
    """How to train and to judge.

    Attributes:
        course: of training.
        fit: how whole pictures are brought to the model's square to be judged (:func:`models.preprocessing.prepare`).
        smallest_view, largest_view: share of a picture that a view in training shows.
        share: of pictures with maps in a batch, where there are others.
        held_out, selection: shares of the pictures that are reported, and that choose the best step.
        keep_agreement: share of the selection's pictures that must keep the answer from before training; of the steps
            judged, the one of highest alignment among those that do is taken. 0 takes the highest of all.
        patience: judgements without a new best after which training stops; None for never.
    """

    course: Course
    fit: Fit
    smallest_view: float
    largest_view: float
    share: float
    held_out: float
    selection: float
    keep_agreement: float
    patience: int | None


@dataclass(frozen=True)
class Outcome:
    """What an alignment leaves.

    Attributes:
        params, statistics: of the best step.
        best: that step.
        scores: ``before``, ``after`` and ``difference`` -> name -> (value, low, high, pictures).
        shown: the reported pictures with maps.
        before, after: their judgements.
    """

    params: Any
    statistics: Any
    best: int
    scores: Mapping[str, Mapping[str, tuple[float, float, float, int]]]
    shown: Pictures
    before: Judged
    after: Judged


def align(
    model: Trainable,
    data: Data,
    plan: Plan,
    loss: Harmonizer,
    optimiser: Settings,
    *,
    folder: Path,
    identity: Mapping[str, object],
    stages: Stages,
    report: Callable[[Report], None] | None = None,
) -> Outcome:
    """Trains the model towards people; goes on from ``folder``'s last checkpoint where there is one.

    Args:
        folder: of checkpoints and logs.
        identity: all that the numbers depend on; checkpoints of another are refused.
        report: called after every step.

    Raises:
        InputError: pictures, labels or settings that cannot be used; training that diverges, with the step.
    """
    course, readout = plan.course, model.spec.port().readout
    if readout is None:
        raise InputError(
            f"model '{model.spec.name}' has no classifier: its map loss is the gradient of a class's logit"
        )
    preprocessing = model.spec.preprocessing
    to_float = partial(normalise, preprocessing=preprocessing)

    def logits(state: tuple[Any, Any], images: jax.Array) -> jax.Array:
        found: jax.Array = model.forward(*state, images, take=lambda layers: layers[readout])[0]
        return found

    params, decayed = model.params, kernels(model.params)
    if loss.preserve:
        params = with_original(model.params, model.statistics)
        decayed = {name: decayed.get(name, jax.tree.map(lambda _: False, part)) for name, part in params.items()}
        optimiser = replace(optimiser, multipliers={**optimiser.multipliers, **FROZEN})
    loss = loss._replace(train=not course.frozen_statistics)
    if data.others is not None and jax.device_count() == 1:  # several share a batch by place, which sorting would undo
        loss = loss._replace(mapped=most_of_first([plan.share, 1 - plan.share], course.batch))
    objective = harmonizer(model.forward, readout, decayed, to_float, loss)
    make_optimiser(optimiser, params, batches=course.steps, batches_per_epoch=1)  # refuses before anything runs
    judge = Judge(logits, to_float, course.seed)
    start = (model.params, model.statistics)
    division, test = divided(data, plan.selection, plan.held_out, course.seed)
    prepare = partial(
        parts_of,
        judge,
        start,
        preprocessing=preprocessing,
        own_labels=data.own_labels,
        fit=plan.fit,
        stages=stages,
    )
    with_maps = prepare(data.maps, division, test, evaluation_maps)
    others = None
    if data.others is not None:
        own = divide(len(data.others), plan.selection, plan.held_out, course.seed)
        others = prepare(data.others, own, None, None)

    before = judge(start, with_maps.test)
    chosen_before = judge(start, with_maps.selection)
    elsewhere = {name: judge.answers(start, part.images) for name, part in _held_out(others).items()}

    def agreement(state: tuple[Any, Any], part: str, own: Judged, now: Judged) -> np.ndarray:
        same = [now.answers == own.answers]
        if others is not None:
            same.append(judge.answers(state, getattr(others, part).images) == elsewhere[part])
        return np.concatenate(same)

    def scores(state: tuple[Any, Any]) -> dict[str, float]:
        state = _without_heads(*state)
        now = judge(state, with_maps.selection)
        value, same = _mean(now.alignment), float(agreement(state, "selection", chosen_before, now).mean())
        return {
            "alignment": value,
            "alignment_with_others_maps": _mean(now.others),
            "agreement": same,
            ADMISSIBLE: value if same >= plan.keep_agreement else min(value, -1.0),
        }

    sources, weights = [with_maps.train], [1.0]
    if others is not None:
        sources, weights = [*sources, others.train], [plan.share, 1 - plan.share]
    maps = training_maps if loss.map_weight else None
    order = course.order()
    batches = training_batches(sources, weights, preprocessing, order, maps, (plan.smallest_view, plan.largest_view))
    per_epoch = max(1, sum(len(source) for source in sources) // course.batch)
    rule = make_optimiser(optimiser, params, batches=course.steps, batches_per_epoch=per_epoch, decayed=decayed)
    spared = None
    if rule.natural:

        def answers(params: Any, statistics: Any, images: jax.Array) -> jax.Array:
            return judge.logits_of(_without_heads(params, statistics), images)

        spared = Spared(answers, some(sources, SPARED, preprocessing, plan.fit, course.seed))
    kept = run_course(
        (params, model.statistics),
        objective,
        rule,
        batches,
        Judging(scores, ADMISSIBLE, plan.patience),
        course,
        folder=folder,
        identity=identity,
        report=report,
        spared=spared,
    )
    found = _without_heads(kept.params, kept.statistics)
    after = judge(found, with_maps.test)
    tables = _compared(before, after)
    kinds = {"agreement": agreement(found, "test", before, after)}
    if others is not None:
        kinds["agreement_with_maps"] = after.answers == before.answers
    for name, same in kinds.items():
        tables["after"][name] = (float(same.mean()), *_interval(same, course.seed), len(same))
    return Outcome(*found, kept.step, tables, with_maps.test, before, after)


def _without_heads(params: Any, statistics: Any) -> tuple[Any, Any]:
    return split_heads(params)[0], statistics


def _held_out(parts: Parts | None) -> dict[str, Pictures]:
    return {} if parts is None else {"selection": parts.selection, "test": parts.test}


def _mean(found: Alignment) -> float:
    """The published score; NaN, which stops training, where the saliency of nearly all pictures is constant."""
    finite = found.spearman[np.isfinite(found.spearman)]
    return float(finite.mean() / HUMAN_CEILING) if 2 * len(finite) > len(found.spearman) else float("nan")


def _compared(before: Judged, after: Judged) -> dict[str, dict[str, tuple[float, float, float, int]]]:
    """Alignment, with the pictures' own maps and with others', before, after and their paired difference."""
    found: dict[str, dict[str, tuple[float, float, float, int]]] = {"before": {}, "after": {}, "difference": {}}
    for name, one, other in (
        ("", before.alignment, after.alignment),
        ("_with_others_maps", before.others, after.others),
    ):
        three = (summarise(one), summarise(other), alignment_difference(one, other))
        for place, estimates in zip(found, three, strict=True):
            found[place] |= {
                f"{key}{name}": (value.value, value.low, value.high, value.images) for key, value in estimates.items()
            }
    return found


def _interval(values: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of a share, over pictures."""
    drawn = np.random.default_rng(seed).binomial(len(values), values.mean(), 10_000) / len(values)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
