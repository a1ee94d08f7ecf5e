"""Figures of the metrics that pair single units with single neuroids."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from docs.figures import simulate
from docs.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, SKY, label, legend, panels, save
from engine.metrics import one_to_one as matching
from engine.metrics import one_to_one_controls as controls
from engine.metrics import population_decoding, soft_matching
from engine.metrics.scores import Scores
from engine.solvers.folds import Split


def draw() -> None:
    one_to_one()
    soft()
    decoding()


def _match(units: np.ndarray, y: np.ndarray, splits: Sequence[Split], permuted: bool = False) -> Scores:
    fitted = controls.permuted(y, splits, seed=0) if permuted else None
    prepared = matching.prepare(y, splits, fitted=fitted)
    return matching.scores(matching.match_block([jnp.asarray(units, jnp.float32)], 0, prepared), prepared)


def one_to_one() -> None:
    """The largest of many correlations, in training and held out; and the controls for two populations."""
    rng = np.random.default_rng(5)
    stimuli, neuroids = 300, 60
    splits = simulate.folds(stimuli)
    noise = rng.standard_normal((stimuli, 30_000)).astype(np.float32)
    y = rng.standard_normal((stimuli, neuroids))
    widths = [10, 100, 1000, 10_000, 30_000]
    found = [_match(noise[:, :width], y, splits, permuted=True) for width in widths]
    figure, left, right = panels(2, width=9.2, height=3.6, ratios=(1, 1.15))
    training = simulate.medians([each.details["train_r"] for each in found])
    left.semilogx(widths, training, "-o", color=RED, markersize=4, label="training stimuli")
    left.semilogx(widths, np.sqrt(2 * np.log(widths) / 240), "--", color=BLACK, linewidth=1, label="√(2 ln p / n)")
    held = simulate.medians([each.value for each in found])
    left.semilogx(widths, held, "-o", color=BLUE, markersize=4, label="held-out stimuli")
    left.axhline(0, color=GREY, linewidth=0.8)
    left.set_ylim(-0.08, 0.5)
    label(left, "Responses permuted: nothing to find", "units p of the layer", "median r of the best unit")
    legend(left, "upper left")

    units = np.maximum(simulate.mixed(simulate.spectrum(stimuli, 400, rng), 4000, rng), 0)
    copies = simulate.standard(units[:, rng.choice(4000, neuroids, replace=False)])
    mixtures = simulate.mixed(units - units.mean(axis=0), neuroids, rng)
    names = ("best unit", "best of rotated", "best component", "random unit", "permuted")
    populations = ((copies, "neurons are single units", BLUE), (mixtures, "neurons are mixtures of units", ORANGE))
    for place, (truth, name, colour) in enumerate(populations):
        y = simulate.noisy(truth, 0.7, rng)
        gram = simulate.summary(units).gram
        rotated = controls.rotated_units(gram, 4000, 4000, seed=0)
        values = [
            _match(units, y, splits).value,
            _match(rotated, y, splits).value,
            controls.best_component(gram, y, splits).value,
            controls.best_of(controls.correlations(units, y, splits), 1),
            _match(units, y, splits, permuted=True).value,
        ]
        right.barh(np.arange(5) + 0.4 * place - 0.2, simulate.medians(values), 0.4, color=colour, label=name)
    right.set_yticks(range(5), names)
    right.invert_yaxis()
    right.set_xlim(-0.05, 1)
    right.axvline(0, color=GREY, linewidth=0.8)
    label(right, "Controls", "median held-out r")
    legend(right, "lower right")
    save(figure, "one-to-one")


def soft() -> None:
    """One-to-one ignores units that no neuroid resembles; soft matching does not."""
    rng = np.random.default_rng(6)
    stimuli, neuroids, width = 250, 25, 500
    splits = simulate.folds(stimuli)
    sources = simulate.spectrum(stimuli, 200, rng)
    truth = simulate.mixed(sources, neuroids, rng)
    y = simulate.noisy(truth, 0.7, rng)
    like = simulate.noisy(np.repeat(truth, width // neuroids, axis=1), 0.8, rng)[:, rng.permutation(width)]
    other = rng.standard_normal((stimuli, width))
    shares = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
    best, predicted, moved = [], [], []
    for share in shares:
        units = np.where(np.arange(width) < share * width, like, other)
        best.append(_match(units, y, splits).value)
        found = soft_matching.score_layer(units, y, splits)
        predicted.append(found.value)
        moved.append(found.details["transported_r"])
    figure, axes = panels(1, width=6.0)
    axes.plot(shares, simulate.medians(best), "-s", color=BLUE, markersize=4, label="one_to_one")
    axes.plot(shares, simulate.medians(predicted), "-o", color=GREEN, markersize=4, label="soft_matching: prediction")
    axes.plot(shares, simulate.medians(moved), "-o", color=RED, markersize=4, label="soft_matching: mean r of pairs")
    axes.set_ylim(0, 1)
    label(axes, "Some units are like neurons, the others are noise", "share of units like neurons", "median held-out r")
    legend(axes, "lower right")
    save(figure, "soft-matching")


def decoding() -> None:
    """Accuracy with its bounds."""
    rng = np.random.default_rng(7)
    stimuli, neuroids, width, classes = 320, 30, 1500, 8
    category = np.arange(stimuli) % classes
    splits = simulate.folds(stimuli)
    centres = 0.7 * rng.standard_normal((classes, 60))
    sources = centres[category] + rng.standard_normal((stimuli, 60))
    units = np.maximum(simulate.mixed(sources, width, rng), 0)
    copies = simulate.standard(units[:, rng.choice(width, neuroids, replace=False)])
    mixtures = simulate.mixed(units - units.mean(axis=0), neuroids, rng)
    names = ("neurons", "matched units", "shuffled", "random units", "chance")
    figure, axes = panels(1, width=6.4, height=3.5)
    populations = ((copies, "neurons are single units", BLUE), (mixtures, "neurons are mixtures of units", SKY))
    for place, (truth, name, colour) in enumerate(populations):
        y = simulate.noisy(truth, 0.7, rng)
        prepared = matching.prepare(y, splits, keep=True)
        found = matching.match_block([jnp.asarray(units, jnp.float32)], 0, prepared)
        scores = population_decoding.score_layer(found.activity, y, category, splits, random=units)
        values = [scores.details["neurons"], scores.value]
        values += [scores.details[each] for each in ("shuffled", "random_units", "chance")]
        across = np.arange(5) + 0.4 * place - 0.2
        axes.bar(across, [float(each.mean()) for each in values], 0.38, color=colour, label=name)
        for x, each in zip(across, values, strict=True):
            axes.plot(np.full(len(each), x), each[:, 0], ".", color=BLACK, markersize=4)
    axes.set_xticks(range(5), names)
    label(axes, "A classifier trained on units, tested on neurons", "trained on", "accuracy on held-out stimuli")
    axes.set_ylim(0, 1)
    legend(axes, "upper right")
    save(figure, "population-decoding")
