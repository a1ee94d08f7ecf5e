"""What a co-training trains on, what chooses its step, and what is reported: kept strictly apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.cotrain.held_out import Cut, Judge, cuts
from engine.cotrain.plan import Plan
from engine.metrics.metric import Metric
from engine.recording import Recording
from engine.solvers.folds import Split
from engine.training.neural_batches import NeuralData, neural_data
from engine.training.partition import HeldOut, partition, restricted
from models.spec import ModelSpec


@dataclass(frozen=True)
class Divided:
    """What is trained on, what shows how it goes, what is reported.

    Attributes:
        data: responses and pictures of the training stimuli.
        selection, test: judges.
        held_out: pictures of all held-out stimuli.
        counts: for the summary.
    """

    data: NeuralData
    selection: Judge
    test: Judge
    held_out: np.ndarray
    counts: Mapping[str, int]


def divide(
    recordings: Sequence[Recording],
    pictures: Sequence[np.ndarray],
    plan: Plan,
    spec: ModelSpec,
    metric: Metric,
    split: Callable[[Recording], Sequence[Split]],
) -> Divided:
    """Divides neuroids and stimuli; refuses what could be neither trained on nor scored.

    Args:
        recordings, pictures: stimuli as the model takes them, one array for each recording.
        spec: of the model.
        metric, split: of the scores.

    Raises:
        InputError: as :func:`engine.training.partition.partition`, :func:`neural_data` and :class:`Judge` say.
    """
    parts = partition(recordings, plan.held_out, pictures)
    inner = [restricted(recordings[part.recording], part) for part in parts.trained]
    shown = [pictures[part.recording][part.stimuli] for part in parts.trained]
    again = partition(inner, HeldOut(plan.selection, seed=plan.held_out.seed + 1), shown)
    data = neural_data(inner, shown, again.trained, plan.regions, plan.control, plan.course.seed)
    if plan.standardise:
        data = standardised(data)
    outer = cuts(recordings, pictures, parts)
    selection, test = (
        Judge(spec, plan.layers, each, plan.regions, metric, split) for each in (cuts(inner, shown, again), outer)
    )
    return Divided(data, selection, test, np.concatenate([cut.images for cut in outer]), _counts(data, outer))


def standardised(data: NeuralData) -> NeuralData:
    """Every neuroid with mean 0 and variance 1 over its own stimuli, so that none counts for more by its rate.

    Neuroids that do not vary get zeros.
    """

    def of_table(table: np.ndarray) -> np.ndarray:
        present = np.isfinite(table)
        count = np.maximum(present.sum(axis=0), 1)
        centred = table - np.where(present, table, 0.0).sum(axis=0, dtype=np.float64) / count
        scale = np.sqrt(np.where(present, centred**2, 0.0).sum(axis=0) / count)
        return (centred / np.where(scale > 0, scale, 1.0)).astype(np.float32)

    return data._replace(responses={region: of_table(table) for region, table in data.responses.items()})


def _counts(data: NeuralData, parts: Sequence[Cut]) -> dict[str, int]:
    """Of stimuli and neuroids, for the summary."""
    return {
        "recordings trained on": len(data.names),
        "stimuli trained on": len(data.images),
        "neuroids trained on": sum(table.shape[1] for table in data.responses.values()),
        "recordings scored": len(parts),
        "held-out stimuli": sum(len(part.images) for part in parts),
        "new neuroids": sum(len(part.recording.neuroids) - len(part.trained) for part in parts),
    }
