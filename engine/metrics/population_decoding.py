"""Population decoding: does a category classifier trained on matched units work on the recorded neurons?

For every split each neuroid is paired with a unit on the training stimuli (any assignment, for example that of
:mod:`engine.metrics.one_to_one`). Units and neuroids are standardised separately over the training stimuli. A linear
classifier of the stimulus category is trained on the units' training activations, its inputs being the neuroids'
places, and is tested on the neuroids' responses to test stimuli: it has seen neither (after Arend, Han, Schrimpf,
Bashivan, Kar, Poggio, DiCarlo and Boix, CBMM Memo 93, 2018, whose code is not public; the details are our own).

The classifier is linear discriminant analysis with Ledoit-Wolf shrinkage of the covariance, as scikit-learn has it
(``solver="lsqr", shrinkage="auto"``): in closed form, without a penalty to choose, defined with more neuroids than
stimuli, and the same on every machine. It costs about n q² + q³ flops for q neuroids.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from engine.errors import InputError
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits

VERSION = "1"  # of the numbers below; part of every result's key


def score_layer(
    matched: np.ndarray,
    responses: np.ndarray,
    categories: Sequence[object],
    splits: Sequence[Split],
    *,
    random: np.ndarray | None = None,
    shuffles: int = 20,
    seed: int = 0,
) -> Scores:
    """Accuracy of a classifier trained on matched units and tested on the neuroids, with its bounds.

    Args:
        matched: splits x stimuli x neuroids, activation of the unit that each split pairs with each neuroid on its
            training stimuli (``one_to_one.Matching.activity``); NaN for a neuroid without a unit.
        responses: stimuli x neuroids, none missing.
        categories: of each stimulus.
        splits: over the stimuli. Only their train and test parts are used.
        random: stimuli x units, a random sample of the layer, at least as many as there are neuroids.
        shuffles: random assignments, and random populations of units, whose mean accuracy is given.
        seed: of these.

    Returns:
        Scores of splits x 1. ``value`` is the share of test stimuli classified correctly. ``selection`` is NaN: decide
        on layers by the matching's. Details, each an accuracy on the same test stimuli:
        ``neurons``, trained on the neuroids themselves (the upper bound);
        ``shuffled``, the same units assigned to the neuroids at random: what the matching of single neurons adds is the
        distance from here;
        ``random_units``, units drawn without regard to the responses (NaN if none were given);
        ``chance``, the category most frequent in training for every stimulus.
        Neuroids without a unit, and pairs of which one is constant in training, are left out; a note counts them.

    Raises:
        InputError: missing responses; arrays that do not fit each other; a split with fewer than two categories, or
            with a single training stimulus of one.
    """
    labels = _check(matched, responses, categories, splits, random)
    checked = check_splits(splits, len(responses))
    check_categories(labels, checked)
    rng = np.random.default_rng(seed)
    value: list[float] = []
    bounds: dict[str, list[float]] = {"neurons": [], "shuffled": [], "random_units": [], "chance": []}
    dropped = 0
    for number, split in enumerate(checked, start=1):
        names, counts = np.unique(labels[split.train], return_counts=True)
        units, neurons = matched[number - 1], np.asarray(responses, np.float64)
        usable = varies(units[split.train]) & varies(neurons[split.train])
        dropped += int((~usable).sum())
        if not usable.any():
            raise InputError(f"fold {number}: no neuroid has a unit such that both vary over the training stimuli")
        trained, recorded = (_standardised(each[:, usable], split.train) for each in (units, neurons))

        def accuracy(population: np.ndarray, recorded: np.ndarray = recorded, split: Split = split) -> float:
            classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
            classifier.fit(population[split.train], labels[split.train])
            return float(np.mean(classifier.predict(recorded[split.test]) == labels[split.test]))

        value.append(accuracy(trained))
        bounds["neurons"].append(accuracy(recorded))
        width = trained.shape[1]
        orders = [rng.permutation(width) for _ in range(shuffles)]
        bounds["shuffled"].append(float(np.mean([accuracy(trained[:, order]) for order in orders])))
        bounds["chance"].append(float(np.mean(labels[split.test] == names[counts.argmax()])))
        if random is None:
            bounds["random_units"].append(np.nan)
            continue
        vary = np.flatnonzero(varies(random[split.train]))
        if len(vary) < width:
            raise InputError(
                f"fold {number}: {len(vary)} of the {random.shape[1]} random units vary over the training stimuli, and "
                f"{width} neuroids need one each; draw more units"
            )
        draws = [rng.choice(vary, width, replace=False) for _ in range(shuffles)]
        drawn = [accuracy(_standardised(random[:, units_of], split.train)) for units_of in draws]
        bounds["random_units"].append(float(np.mean(drawn)))
    notes: tuple[str, ...] = ()
    if dropped:
        notes = (
            f"population decoding: {dropped} of {matched.shape[0] * matched.shape[2]} pairs of a neuroid and its unit "
            "(over all splits) are left out, because one of the two is constant over the training stimuli",
        )
    return Scores(
        np.array(value)[:, None],
        np.full((len(checked), 1), np.nan),
        {name: np.array(each)[:, None] for name, each in bounds.items()},
        notes,
    )


def check_categories(categories: Sequence[str] | np.ndarray, splits: Sequence[Split]) -> None:
    """Raises InputError where a split's training stimuli do not hold two categories with two stimuli of each."""
    for number, split in enumerate(splits, start=1):
        names, counts = np.unique(np.asarray(categories)[split.train], return_counts=True)
        if len(names) < 2 or counts.min() < 2:
            raise InputError(
                f"fold {number} trains on {len(names)} categories, with {counts.min()} stimuli of "
                f"'{names[counts.argmin()]}'; wanted two categories or more with two stimuli or more of each"
            )


def _check(
    matched: np.ndarray,
    responses: np.ndarray,
    categories: Sequence[object],
    splits: Sequence[Split],
    random: np.ndarray | None,
) -> np.ndarray:
    stimuli, neuroids = responses.shape
    if matched.shape != (len(splits), stimuli, neuroids):
        raise InputError(
            f"matched units have the shape {matched.shape}; wanted splits x stimuli x neuroids, "
            f"{(len(splits), stimuli, neuroids)}"
        )
    if len(categories) != stimuli or (random is not None and len(random) != stimuli):
        raise InputError(
            f"{len(categories)} categories{'' if random is None else f' and {len(random)} rows of random units'} for "
            f"{stimuli} stimuli; wanted one for each"
        )
    missing = ~np.isfinite(responses)
    if missing.any():
        raise InputError(
            f"population decoding needs every response: {missing.sum()} are missing, of {missing.any(axis=0).sum()} of "
            f"{neuroids} neuroids; choose neuroids (or stimuli) that have all"
        )
    return np.asarray([str(category) for category in categories])


def varies(values: np.ndarray) -> np.ndarray:
    """Which columns are not constant, up to rounding in their precision; columns with NaN are."""
    first = values - values[0]
    return np.abs(first).max(axis=0) > 16 * np.finfo(values.dtype).eps * np.abs(values).max(axis=0)


def _standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Columns less their means over the training stimuli, over their standard deviations there."""
    part = values[train].astype(np.float64)
    return (values - part.mean(axis=0)) / part.std(axis=0)
