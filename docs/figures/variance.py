"""Figure of variance partition."""

import numpy as np

from docs.figures import simulate
from docs.figures.style import BLACK, BLUE, GREEN, ORANGE, label, legend, panels, save
from engine.metrics import variance_partition as parts


def draw() -> None:
    variance_partition()


def variance_partition() -> None:
    """Three kinds of neurons, two layers: what was put in, and what is found."""
    rng = np.random.default_rng(13)
    stimuli, neuroids = 400, 20
    splits = simulate.folds(stimuli)
    own_a, own_b, common = rng.standard_normal((3, stimuli, 8))
    first = simulate.mixed(np.hstack([own_a, common]), 300, rng)
    second = simulate.mixed(np.hstack([own_b, common]), 300, rng)
    kinds = ((0.6, 0.0, 0.1), (0.3, 0.3, 0.1), (0.1, 0.1, 0.5), (0.1, 0.5, 0.1))  # only A, only B, common
    sources = [simulate.mixed(each, neuroids, rng) for each in (own_a, own_b, common)]
    responses = []
    for shares in kinds:
        signal = sum(np.sqrt(share) * source for share, source in zip(shares, sources, strict=True))
        responses.append(signal + np.sqrt(1 - sum(shares)) * rng.standard_normal(signal.shape))
    settings = parts.VariancePartition(tuple(np.logspace(-3, 3, 7).tolist()))
    spaces = [simulate.summary(first), simulate.summary(second)]
    found = parts.partition(spaces, np.hstack(responses), splits, settings)
    figure, axes = panels(1, width=6.6, height=3.4)
    rows = (((0,), "unique to A", BLUE, 0), ((0, 1), "shared", GREEN, 2), ((1,), "unique to B", ORANGE, 1))
    for place, (subset, name, colour, source) in enumerate(rows):
        across = np.arange(len(kinds)) + 0.27 * (place - 1)
        each = found.parts[subset].mean(axis=0).reshape(len(kinds), neuroids)
        axes.bar(across, each.mean(axis=1), 0.25, color=colour, label=name)
        axes.errorbar(across, each.mean(axis=1), each.std(axis=1), fmt="none", ecolor="0.35", elinewidth=1, capsize=2)
        truth = [shares[source] for shares in kinds]
        axes.plot(
            across, truth, "_", color=BLACK, markersize=15, markeredgewidth=2, label="put in" if place == 2 else None
        )
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xticks(range(len(kinds)), ["mostly A", "A and B", "what both have", "mostly B"])
    axes.set_ylim(-0.05, 0.85)
    label(axes, "Two layers, four kinds of neurons", "neurons driven by", "share of variance ($R^2$)")
    legend(axes, "upper center", ncols=4)
    save(figure, "variance-partition")
