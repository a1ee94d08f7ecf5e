"""Figure of reverse mapping."""

import numpy as np

from docs.figures import simulate
from docs.figures.style import BLUE, GREEN, ORANGE, RED, label, legend, panels, save
from engine.metrics import reverse as mapping
from engine.metrics import ridge as _ridge
from engine.metrics.reverse_consistency import corrected_block
from engine.metrics.reverse_pls import reverse_pls

GRID = tuple(np.logspace(-3, 4, 8).tolist())


def draw() -> None:
    reverse()


def reverse() -> None:
    """A layer predicts neurons well, half of its units are not predicted by them; and more neurons predict more."""
    rng = np.random.default_rng(8)
    stimuli, width, repetitions = 300, 800, 10
    splits = simulate.folds(stimuli)
    shared, private = rng.standard_normal((2, stimuli, 30))
    units = np.concatenate([simulate.mixed(shared, width // 2, rng), simulate.mixed(private, width // 2, rng)], axis=1)
    truth = simulate.mixed(shared, 160, rng)
    repeats = truth + 2 * rng.standard_normal((repetitions, *truth.shape))
    neurons = repeats.mean(axis=0)
    layer = simulate.summary(units)
    settings = _ridge.Ridge(tuple(np.logspace(-4, 4, 9).tolist()), True, "r2", "neuroid")
    forward = _ridge.score_layer(layer, neurons, ["A"] * 160, splits, settings).value.mean(axis=0)
    found = mapping.score_block(mapping.prepare(neurons[:, :80], splits, GRID), units).value.mean(axis=0)
    least = reverse_pls(neurons[:, :80], units, splits, 25).value.mean(axis=0)
    figure, left, right = panels(2, width=9.0)
    edges = np.linspace(-0.3, 1, 27)
    for values, name, colour in (
        (forward, "forward: neurons, ridge", GREEN),
        (found, "reverse: units, ridge", BLUE),
        (least, "reverse: units, PLS", ORANGE),
    ):
        heights = np.histogram(values, edges)[0] / len(values)
        left.stairs(heights, edges, color=colour, linewidth=1.6, label=name)
    label(left, "Half of the units share nothing", "test r", "share of neurons or units")
    legend(left, "upper center")
    counts = [10, 20, 40, 80, 160]
    one = (100.0,)
    shown = units[:, : width // 2]
    raw, corrected = [], []
    turns = [rng.permutation(repetitions) for _ in range(5)]
    for count in counts:
        whole = mapping.prepare(neurons[:, :count], splits, one)
        halves = [
            tuple(mapping.prepare(repeats[own][:, :, :count].mean(axis=0), splits, one) for own in (turn[:5], turn[5:]))
            for turn in turns
        ]
        scores = corrected_block(whole, halves, shown)
        raw.append(scores.details["r"] ** 2)
        corrected.append(scores.value)
    right.semilogx(counts, simulate.medians(raw), "-o", color=BLUE, markersize=4, label="r²")
    right.semilogx(
        counts, simulate.medians(corrected), "-s", color=RED, markersize=4, label="corrected for consistency"
    )
    right.set_xticks(counts, [str(count) for count in counts])
    right.minorticks_off()
    right.set_ylim(0, 1.1)
    label(right, "The predictable half", "neurons recorded", "median share of variance")
    legend(right, "upper left")
    save(figure, "reverse")
