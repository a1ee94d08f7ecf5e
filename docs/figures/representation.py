"""Figures of the metrics that compare representations as a whole."""

import jax.numpy as jnp
import numpy as np
from matplotlib import colormaps

from docs.figures import simulate
from docs.figures.style import BLUE, GREEN, GREY, ORANGE, RED, label, legend, panels, save
from engine.metrics import cka as _cka
from engine.metrics import encoding_rsa as _encoding_rsa
from engine.metrics import one_to_one as matching
from engine.metrics import procrustes as _procrustes
from engine.metrics import rsa as _rsa
from engine.metrics.rdm import layer_rdm, response_rdm
from engine.metrics.rdm_comparison import upper_triangle


def draw() -> None:
    rsa()
    cka()
    procrustes()
    encoding_rsa()


def rsa() -> None:
    """RDMs of a layer and a region, and their pairs."""
    rng = np.random.default_rng(9)
    classes, each = 6, 8
    category = np.repeat(np.arange(classes), each)
    sources = rng.standard_normal((classes, 30))[category] + 0.8 * rng.standard_normal((classes * each, 30))
    layer = simulate.summary(simulate.mixed(sources, 500, rng))
    y = simulate.noisy(simulate.mixed(sources, 80, rng), 0.6, rng)
    rdms = layer_rdm(layer, "correlation"), response_rdm(y, "correlation")
    rho = _rsa.compare_layer(layer, rdms[1][None], _rsa.Rsa())[0]
    figure, left, middle, right = panels(3, width=9.4, height=3.2, ratios=(1.1, 1.1, 1))
    for axes, rdm, name in ((left, rdms[0], "Layer, 500 units"), (middle, rdms[1], "Region, 80 neurons")):
        shown = axes.imshow(rdm, cmap=colormaps["viridis"].resampled(32), vmin=0, vmax=1.6, interpolation="nearest")
        label(axes, name, "stimulus", "stimulus" if axes is left else "")
        axes.set_xticks([0, 24, 47], ["1", "25", "48"])
        axes.set_yticks([0, 24, 47], ["1", "25", "48"])
    figure.colorbar(shown, ax=middle, label="1 - r", shrink=0.85)
    pairs = [upper_triangle(rdm[None])[0] for rdm in rdms]
    right.plot(*pairs, ".", color=BLUE, markersize=2, alpha=0.5)
    label(right, f"Pairs of stimuli: rho {rho:.2f}", "layer, 1 - r", "region, 1 - r")
    save(figure, "rsa")


def cka() -> None:
    """Unrelated data with more and more units; and neurons like the units, of which few are recorded."""
    rng = np.random.default_rng(10)
    stimuli = 100
    noise = rng.standard_normal((stimuli, 10_000))
    y = rng.standard_normal((stimuli, 100))
    widths = [10, 30, 100, 300, 1000, 3000, 10_000]
    figure, left, right = panels(2)
    for estimator, colour in (("biased", RED), ("unbiased", BLUE)):
        settings = _cka.Cka(estimator)
        found = [_cka.compare_layer(simulate.summary(noise[:, :width]), y, settings)[0] for width in widths]
        left.semilogx(widths, found, "-o", color=colour, markersize=4, label=estimator)
    left.axhline(0, color=GREY, linewidth=0.8)
    left.set_ylim(-0.1, 1.05)
    label(left, "Unrelated: 100 stimuli, 100 neurons", "units of the layer", "CKA")
    legend(left, "upper left")
    everything = simulate.mixed(rng.standard_normal((stimuli, 20)), 4000, rng)
    everything = simulate.noisy(everything, 0.5, rng)
    layer = simulate.summary(everything[:, :2000])
    counts = [5, 10, 20, 50, 100, 200, 500]
    for estimator, colour in (("biased", RED), ("unbiased", BLUE), ("feature_corrected", GREEN)):
        means = []
        for count in counts:
            samples = [everything[:, 2000 + rng.choice(2000, count, replace=False)] for _ in range(20)]
            means.append(np.mean([_cka.compare_layer(layer, each, _cka.Cka(estimator))[0] for each in samples]))
        right.semilogx(counts, means, "-o", color=colour, markersize=4, label=estimator)
    right.axhline(1, color=GREY, linewidth=0.8)
    right.set_ylim(0, 1.6)
    label(right, "Neurons of the same kind as the units", "neurons recorded", "CKA, mean of 20 draws")
    legend(right, "upper right")
    save(figure, "cka")


def procrustes() -> None:
    """What each alpha forgives: rotations, and stretched axes."""
    rng = np.random.default_rng(11)
    stimuli, width = 300, 30
    splits = simulate.folds(stimuli)
    base = simulate.spectrum(stimuli, width, rng, power=0.3)
    y = base + 0.3 * rng.standard_normal(base.shape)
    skew = np.triu(rng.standard_normal((width, width)), 1)
    values, vectors = np.linalg.eigh(1j * (skew - skew.T))
    angles = np.array([0, 15, 30, 45, 60, 90])
    rotated = []
    for angle in angles:
        turn = vectors * np.exp(-1j * np.sign(values) * np.deg2rad(angle)) @ vectors.conj().T
        rotated.append(base @ turn.real)
    figure, left, right = panels(2)
    settings = _procrustes.Procrustes(1.0)
    similar = [_procrustes.score_layer(simulate.summary(each), y, splits, settings).value for each in rotated]
    left.plot(angles, simulate.medians(similar), "-o", color=BLUE, markersize=4, label="procrustes, alpha 1")
    prepared = matching.prepare(y, splits)
    single = [matching.scores(matching.match_block([jnp.asarray(each)], 0, prepared), prepared) for each in rotated]
    left.plot(
        angles, simulate.medians([each.value for each in single]), "-s", color=RED, markersize=4, label="one_to_one"
    )
    left.set_xticks(angles)
    left.set_ylim(0, 1.05)
    label(left, "A rotation of the layer", "every plane turned by (degrees)", "held-out similarity or r")
    legend(left, "lower left")
    powers = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]
    axes_order = rng.permutation(width)
    for alpha, colour in ((1.0, BLUE), (0.5, ORANGE), (0.0, GREEN)):
        found = []
        for power in powers:
            stretched = base * (1.0 + axes_order) ** -power
            found.append(
                _procrustes.score_layer(simulate.summary(stretched), y, splits, _procrustes.Procrustes(alpha)).value
            )
        right.plot(powers, simulate.medians(found), "-o", color=colour, markersize=4, label=f"alpha {alpha:g}")
    right.set_ylim(0, 1.05)
    label(right, "Axes of the layer stretched", "axis k scaled by k to minus", "held-out similarity")
    legend(right, "lower left")
    save(figure, "procrustes")


def encoding_rsa() -> None:
    """Units that say nothing of the population: plain RSA counts them, the weighted one learns to leave them out."""
    rng = np.random.default_rng(12)
    stimuli, neuroids, width = 300, 60, 400
    splits = simulate.folds(stimuli)
    shared, private = rng.standard_normal((2, stimuli, 12))
    y = simulate.noisy(simulate.mixed(shared, neuroids, rng), 0.6, rng)
    like, other = simulate.mixed(shared, width, rng), simulate.mixed(private, width, rng)
    settings = _encoding_rsa.EncodingRsa(tuple(np.logspace(-4, 4, 9).tolist()), True, "r2", "neuroid")
    shares = [0, 0.2, 0.4, 0.6, 0.8, 0.95]
    plain, weighted = [], []
    for share in shares:
        layer = simulate.summary(np.where(np.arange(width) < share * width, other, like))
        plain.append(_rsa.score_layer(layer, response_rdm(y, "correlation")[None], splits, _rsa.Rsa()).value)
        weighted.append(_encoding_rsa.score_layer(layer, y, splits, settings).value)
    figure, axes = panels(1, width=5.8)
    axes.plot(shares, simulate.medians(weighted), "-o", color=GREEN, markersize=4, label="encoding_rsa")
    axes.plot(shares, simulate.medians(plain), "-s", color=RED, markersize=4, label="rsa")
    axes.set_ylim(0, 1)
    label(axes, "Some units have nothing to do with the region", "share of such units", "rho on held-out stimuli")
    legend(axes, "lower left")
    save(figure, "encoding-rsa")
