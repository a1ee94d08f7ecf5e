"""Figures of the linear encoding metrics."""

import numpy as np

from docs.figures import simulate
from docs.figures.style import BLUE, GREEN, GREY, ORANGE, RED, label, legend, panels, save
from engine.metrics import linear as _linear
from engine.metrics import pls as _pls
from engine.metrics import ridge as _ridge
from engine.metrics import ridgecv as _ridgecv
from engine.solvers.folds import Split

GRID = tuple(np.logspace(-4, 4, 9).tolist())


def draw() -> None:
    ridge()
    fixed_penalty()
    linear()
    ridgecv()
    pls()


def _ridge_of(penalties: tuple[float, ...], relative: bool = True) -> _ridge.Ridge:
    return _ridge.Ridge(penalties, relative, "r2", "neuroid")


def ridge() -> None:
    """Score against a fixed penalty, and what the inner folds choose."""
    rng = np.random.default_rng(0)
    stimuli, neuroids = 250, 60
    sources = simulate.spectrum(stimuli, 400, rng)
    units = simulate.mixed(sources, 1000, rng)
    layer, splits = simulate.summary(units), simulate.folds(stimuli)
    truth = simulate.mixed(sources, neuroids, rng)
    figure, left, right = panels(2)
    chosen = []
    for reliability, colour in ((0.9, BLUE), (0.3, RED)):
        y = simulate.noisy(truth, reliability, rng)
        regions = ["A"] * neuroids
        curve = [_ridge.score_layer(layer, y, regions, splits, _ridge_of((each,))).value for each in GRID]
        nested = _ridge.score_layer(layer, y, regions, splits, _ridge_of(GRID))
        name = f"reliability {reliability:.1f}"
        left.semilogx(GRID, simulate.medians(curve), "-o", color=colour, markersize=4, label=name)
        left.axhline(simulate.median(nested.value), color=colour, linestyle="--", linewidth=1.2)
        scale = np.trace(units @ units.T) / stimuli
        chosen.append(np.round(np.log10(nested.details["penalty"].ravel() / scale)))
    label(left, "One penalty for all", "penalty / mean variance of the layer", "median test r")
    left.plot([], [], color=GREY, linestyle="--", label="chosen on inner folds")
    left.set_ylim(0, 1.1)
    legend(left, "upper left", ncols=2)
    edges = np.arange(-4.5, 5)
    for place, (part, colour) in enumerate(zip(chosen, (BLUE, RED), strict=True)):
        share = np.histogram(part, edges)[0] / len(part)
        right.bar(np.arange(-4, 5) + 0.4 * place - 0.2, share, 0.4, color=colour)
    right.set_xticks(range(-4, 5, 2), [f"$10^{{{power}}}$" for power in range(-4, 5, 2)])
    label(right, "What the inner folds choose", "penalty / mean variance of the layer", "share of neuroids x folds")
    save(figure, "ridge")


def fixed_penalty() -> None:
    """A layer multiplied by a number is the same layer, but not to a penalty in absolute units."""
    rng = np.random.default_rng(1)
    stimuli, neuroids = 250, 60
    sources = simulate.spectrum(stimuli, 400, rng)
    units = simulate.mixed(sources, 1000, rng)
    y = simulate.noisy(simulate.mixed(sources, neuroids, rng), 0.6, rng)
    splits, regions = simulate.folds(stimuli), ["A"] * neuroids
    factors = np.logspace(-3, 2, 11)
    absolute, relative = [], []
    for factor in factors:
        layer = simulate.summary(units * factor)
        absolute.append(_ridge.score_layer(layer, y, regions, splits, _ridge_of((1.0,), relative=False)).value)
        relative.append(_ridge.score_layer(layer, y, regions, splits, _ridge_of(GRID)).value)
    figure, axes = panels(1, width=5.6)
    axes.semilogx(factors, simulate.medians(relative), "-s", color=BLUE, markersize=4, label="ridge, relative grid")
    axes.semilogx(factors, simulate.medians(absolute), "-o", color=RED, markersize=4, label="ridge, penalty 1")
    axes.set_ylim(0, 0.7)
    label(axes, "The same layer, rescaled", "activations multiplied by", "median test r")
    legend(axes, "lower right")
    save(figure, "ridge-alpha-1")


def linear() -> None:
    """Least squares is worst where there are as many units as training stimuli."""
    rng = np.random.default_rng(2)
    stimuli, neuroids = 250, 60
    sources = simulate.spectrum(stimuli, 60, rng)
    y = simulate.noisy(simulate.mixed(sources, neuroids, rng), 0.7, rng)
    splits, regions = simulate.folds(stimuli), ["A"] * neuroids
    widths = [20, 50, 100, 150, 180, 200, 220, 260, 350, 600, 1000, 3000]
    every = simulate.mixed(sources, max(widths), rng)
    every = every + 0.5 * rng.standard_normal(every.shape)
    least, penalised = [], []
    for width in widths:
        layer = simulate.summary(every[:, :width])
        least.append(_linear.score_layer(layer, y, splits, _linear.Linear()).value)
        penalised.append(_ridge.score_layer(layer, y, regions, splits, _ridge_of(GRID)).value)
    figure, axes = panels(1, width=5.6)
    axes.axvline(200, color=GREY, linestyle=":", linewidth=1.2)
    axes.text(212, 0.02, "200 training stimuli", fontsize=8.5, color="0.35")
    axes.semilogx(widths, simulate.medians(penalised), "-s", color=BLUE, markersize=4, label="ridge")
    axes.semilogx(widths, simulate.medians(least), "-o", color=RED, markersize=4, label="linear")
    axes.set_ylim(0, 0.9)
    label(axes, "The same population, layers of more units", "units of the layer", "median test r")
    legend(axes, "lower left")
    save(figure, "linear")


def ridgecv() -> None:
    """One penalty for all, decided by the neuroids with the largest variance."""
    rng = np.random.default_rng(3)
    stimuli, neuroids = 200, 12
    sources = simulate.spectrum(stimuli, 400, rng)
    layer = simulate.summary(simulate.mixed(sources, 1000, rng))
    truth = simulate.mixed(sources, 2 * neuroids, rng)
    strong = np.arange(2 * neuroids) < neuroids
    y = simulate.noisy(truth, np.where(strong, 0.95, 0.25), rng) * np.where(strong, 5, 1)
    everything = np.arange(stimuli)
    split = [Split(everything[:160], everything[160:], None)]
    penalties = _ridgecv.brain_score_penalties()
    curve = np.stack(
        [_ridgecv.score_layer(layer, y, split, _ridgecv.RidgeCV((each,))).selection[0] for each in penalties]
    )
    shared = _ridgecv.score_layer(layer, y, split, _ridgecv.RidgeCV()).details["penalty"][0, 0]
    figure, axes = panels(1, width=6.2)
    for who, colour, name in ((strong, BLUE, "high variance, reliable"), (~strong, RED, "low variance, noisy")):
        lines = axes.semilogx(penalties, curve[:, who], color=colour, linewidth=0.9, alpha=0.6)
        lines[0].set_label(name)
        best = curve[:, who].argmax(axis=0)
        axes.plot(np.array(penalties)[best], curve[:, who].max(axis=0), "o", color=colour, markersize=4)
    axes.axvline(shared, color="black", linestyle="--", linewidth=1.3, label=f"chosen for all: {shared:.0f}")
    axes.plot([], [], "o", color=GREY, markersize=4, label="each neuroid's own best")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_ylim(-0.6, 1.2)
    label(axes, "Leave-one-out over 99 penalties", "penalty (units of the Gram matrix)", "leave-one-out $R^2$")
    legend(axes, "upper right")
    save(figure, "ridgecv")


def pls() -> None:
    """Score against the number of components, with few and many training stimuli."""
    rng = np.random.default_rng(4)
    stimuli, neuroids = 500, 60
    sources = simulate.spectrum(stimuli, 400, rng, power=0.8)
    layer = simulate.summary(simulate.mixed(sources, 1000, rng))
    y = simulate.noisy(simulate.mixed(sources, neuroids, rng), 0.3, rng)
    many = [Split(split.train, split.test, None) for split in simulate.folds(stimuli)]
    few = [Split(rng.choice(split.train, 100, replace=False), split.test, None) for split in many]
    counts = [1, 3, 7, 12, 25, 50]
    found = np.stack([_pls.score_layer(layer, y, [*many, *few], _pls.PLS(count)).value for count in counts])
    figure, axes = panels(1, width=5.6)
    for own, size, colour in ((found[:, :5], 400, GREEN), (found[:, 5:], 100, ORANGE)):
        axes.plot(counts, simulate.medians(own), "-o", color=colour, markersize=4, label=f"{size} training stimuli")
    axes.axvline(25, color=GREY, linestyle=":", linewidth=1.2)
    axes.set_ylim(0, 0.5)
    label(axes, "How many components serve depends on the data", "components", "median test r")
    legend(axes, "lower right")
    save(figure, "pls")
