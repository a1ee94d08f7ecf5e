"""Figure of noise ceilings."""

import numpy as np

from docs.figures import simulate
from docs.figures.style import BLACK, BLUE, GREEN, GREY, RED, label, legend, panels, save
from engine.ceilings import split_half
from engine.ceilings.corrected import CONVENTIONS, correct
from engine.ceilings.correlation import masked_pearson
from engine.ceilings.rdms import rdm_bounds
from engine.metrics.rdm import response_rdm
from engine.metrics.rdm_comparison import compare

STYLES = ("-o", "-s", "-^", ":D")


def draw() -> None:
    ceilings()


def ceilings() -> None:
    """A perfect model in every convention; and the bounds of RDMs with few subjects."""
    rng = np.random.default_rng(15)
    stimuli, neuroids = 200, 100
    truth = simulate.mixed(rng.standard_normal((stimuli, 30)), neuroids, rng)
    repeats = truth + 2 * rng.standard_normal((40, stimuli, neuroids))
    counts = [4, 6, 10, 20, 40]
    everything = np.ones(truth.shape, bool)
    figure, left, right = panels(2, width=9.0, height=3.5)
    scores: dict[str, list[float]] = {}
    for count in counts:
        c = split_half(repeats[:count])
        r = masked_pearson(truth, everything, repeats[:count].mean(axis=0), everything)
        for convention in CONVENTIONS[:4]:
            scores.setdefault(convention, []).append(float(np.nanmedian(correct(r, c, convention))))
    names = {"r": "r", "r/sqrt(c)": "r / √c", "(r/c)^2": "(r / c)²", "r^2/c": "r² / c"}
    for (convention, values), colour, style in zip(scores.items(), (BLACK, BLUE, RED, GREEN), STYLES, strict=True):
        left.semilogx(
            counts, values, style, color=colour, markersize=7 if style == "-s" else 4, label=names[convention]
        )
    left.axhline(1, color=GREY, linewidth=0.8)
    left.set_xticks(counts, [str(count) for count in counts])
    left.minorticks_off()
    left.set_ylim(0.6, 2.1)
    label(left, "The true model", "repetitions", "median score")
    legend(left, "upper right")

    stimuli, subjects, draws = 40, 24, 20
    members = [2, 3, 4, 6, 8, 12, 24]
    lower, upper, perfect = np.empty((3, draws, len(members)))
    for turn in range(draws):
        sources = rng.standard_normal((stimuli, 15))
        truth_rdm = response_rdm(sources, "correlation")
        rdms = np.stack(
            [response_rdm(sources + 1.3 * rng.standard_normal(sources.shape), "correlation") for _ in range(subjects)]
        )
        for place, count in enumerate(members):
            bounds = rdm_bounds(rdms[:count], "spearman")
            lower[turn, place], upper[turn, place] = bounds.lower.mean(), bounds.upper.mean()
            perfect[turn, place] = compare(truth_rdm[None], rdms[:count], "spearman").mean()
    right.fill_between(members, lower.mean(axis=0), upper.mean(axis=0), color=BLUE, alpha=0.2, linewidth=0)
    right.semilogx(members, upper.mean(axis=0), "-o", color=BLUE, markersize=4, label="upper bound")
    right.semilogx(members, lower.mean(axis=0), "-s", color=BLUE, markersize=4, label="lower bound")
    right.semilogx(members, perfect.mean(axis=0), "--", color=BLACK, label="the true RDM")
    right.set_xticks(members, [str(count) for count in members])
    right.minorticks_off()
    right.set_ylim(0, 0.9)
    label(right, "Ceiling of RDMs", "subjects", "rho, mean over subjects")
    legend(right, "upper right")
    save(figure, "ceilings")
