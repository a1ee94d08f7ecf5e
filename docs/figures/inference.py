"""Figure of the statistics."""

import numpy as np

from docs.figures import simulate
from docs.figures.style import BLACK, BLUE, GREEN, ORANGE, RED, label, legend, panels, save
from engine.statistics.bootstrap import centres, draws, interval
from engine.statistics.permutation import family_wise, p_values, permutation_null


def draw() -> None:
    statistics()


def statistics() -> None:
    """The best of many layers by chance; and intervals over neuroids that belong to few subjects."""
    rng = np.random.default_rng(16)
    stimuli, layers, neuroids = 150, 12, 15
    splits = simulate.folds(stimuli)
    sources = rng.standard_normal((layers, stimuli, 60))
    truth = simulate.mixed(sources[5], neuroids, rng)
    y = simulate.noisy(truth, 0.03, rng)
    observed, null = [], []
    for own in sources:
        kernel = own @ own.T
        penalty = np.full((5, neuroids), np.trace(kernel) / stimuli)
        found = permutation_null(kernel, y, splits, penalty, permutations=1000)
        observed.append(np.median(found.observed.mean(axis=0)))
        null.append(np.median(found.null.mean(axis=1), axis=1))
    score, chance = np.array(observed)[:, None], np.stack(null, axis=1)[:, :, None]
    best = int(score.argmax())
    alone, family = p_values(score, chance)[best, 0], family_wise(score, chance)[best, 0]
    figure, left, right = panels(2, width=9.0, height=3.4)
    edges = np.linspace(-0.15, 0.2, 29)
    left.hist(chance[:, best, 0], edges, histtype="stepfilled", color=BLUE, alpha=0.35, label="one layer")
    left.hist(chance[:, :, 0].max(axis=1), edges, histtype="step", color=RED, linewidth=1.6, label="best of 12")
    left.axvline(score[best, 0], color=BLACK, linestyle="--", linewidth=1.3)
    left.set_ylim(0, 330)
    left.set_xlim(-0.15, 0.2)
    where = score[best, 0]
    left.annotate(
        f"observed\np = {alone:.3f} alone\np = {family:.3f} of 12",
        (where, 270),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=8.5,
        va="center",
    )
    label(left, "1000 shuffles of the stimuli", "median test r", "shuffles")
    legend(left, "upper left")

    subjects, each, trials = 4, 40, 200
    widths: dict[str, list[float]] = {"neuroids": [], "subjects": []}
    covered = dict.fromkeys(widths, 0)
    for _ in range(trials):
        values = (
            0.5 + 0.08 * rng.standard_normal((subjects, 1)) + 0.1 * rng.standard_normal((subjects, each))
        ).reshape(-1, 1)
        who = np.repeat(np.arange(subjects), each)
        for name, clusters in (("neuroids", None), ("subjects", who)):
            counts = draws(len(values), resamples=500, seed=0, clusters=clusters)
            low, high = interval(centres(counts, values, "mean")[:, 0])
            widths[name].append(float(high - low))
            covered[name] += int(low <= 0.5 <= high)
    right.bar([0, 1], [covered[name] / trials for name in widths], 0.5, color=[ORANGE, GREEN])
    right.axhline(0.95, color=BLACK, linestyle="--", linewidth=1.2, label="nominal: 95 %")
    right.set_xticks([0, 1], ["neuroids", "whole subjects"])
    right.set_ylim(0, 1.2)
    label(right, "4 subjects of 40 neuroids", "what the bootstrap draws", "share of intervals with the true mean")
    legend(right, "upper left")
    save(figure, "statistics")
