"""D1 and D2: every RDM of one set with every RDM of another, against rsatoolbox."""

import warnings
from functools import partial
from typing import Any

import numpy as np

from benchmarks.agreement import Agreement
from benchmarks.comparison import Contender, compare, say
from benchmarks.measure import timed
from benchmarks.rows.row import Row
from engine.metrics.rdm_comparison import Comparison
from engine.metrics.rdm_comparison import compare as compared

METHODS: dict[Comparison, str] = {
    "spearman": "spearman",
    "pearson": "corr",
    "cosine": "cosine",
    "whitened_cosine": "cosine_cov",
}
STIMULI, RDMS = 1000, 100
TAUS, FEW = 20, 2  # RDMs in each set for Kendall's tau-a: ours, and of those rsatoolbox's
QUICK_STIMULI, QUICK_RDMS = 60, 10
LIMIT = 60.0
EXACT = 1e-9  # both work in float64


def dissimilarities(count: int, stimuli: int, seed: int) -> np.ndarray:
    """RDMs with a common part, as vectors of pairs, float64."""
    rng = np.random.default_rng(0)
    pairs = stimuli * (stimuli - 1) // 2
    common = rng.random(pairs)
    rng = np.random.default_rng(seed)
    found = np.empty((count, pairs))
    for row in found:
        rng.random(out=row)
        row += common
    return found


def rsatoolbox(first: np.ndarray, second: np.ndarray, method: str) -> np.ndarray:
    """Similarities by rsatoolbox's ``compare``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rsatoolbox's own, as it is imported
        from rsatoolbox.rdm import RDMs, compare

        return np.asarray(compare(RDMs(first), RDMs(second), method=method))


def graded(wanted: np.ndarray, found: np.ndarray) -> Agreement:
    """With rsatoolbox, on the pairs of RDMs that it compared."""
    off = np.abs(found[: len(wanted), : wanted.shape[1]] - wanted)
    worst, median = float(off.max()), float(np.median(off))
    return Agreement(worst, median, 0, 0.0, worst <= EXACT, what="similarities")


def run(quick: bool) -> dict[str, Any]:
    """D1: the measures that are one product after each RDM is prepared; rsatoolbox does all pairs too."""
    stimuli, count = (QUICK_STIMULI, QUICK_RDMS) if quick else (STIMULI, RDMS)
    first, second = dissimilarities(count, stimuli, 1), dissimilarities(count, stimuli, 2)
    ours, peers = [], []
    for comparison, method in METHODS.items():
        name = f"corticalign {comparison}"
        wanted, spent = timed(partial(rsatoolbox, first, second, method))
        say(f"rsatoolbox {method}: {spent.seconds:.3g} s")
        ours.append(Contender(name, partial(compared, first, second, comparison), partial(graded, wanted)))
        peers.append(
            Contender(
                f"rsatoolbox {method}",
                partial(rsatoolbox, first, second, method),
                against="" if not peers else name,
            )
        )
    pairs = stimuli * (stimuli - 1) // 2
    flops = {"product of prepared RDMs": 2.0 * count * count * pairs}
    found = compare(ours, peers, dtype="float64", cost=flops, quick=quick, limit=LIMIT)
    notes = ["the ratio is of the first, Spearman; rates count the product alone, not sorting and centring"]
    return {"sizes": {"stimuli": stimuli, "RDMs": f"{count} x {count}", "pairs": pairs}, "notes": notes, **found}


def run_tau(quick: bool) -> dict[str, Any]:
    """D2: Kendall's tau-a, where every pair of RDMs has to be counted by itself."""
    stimuli, count = (QUICK_STIMULI, 4) if quick else (STIMULI, TAUS)
    first, second = dissimilarities(count, stimuli, 1), dissimilarities(count, stimuli, 2)
    few = partial(rsatoolbox, first[:FEW], second[:FEW], "tau-a")
    ours = Contender("corticalign", partial(compared, first, second, "kendall"), partial(graded, few()))
    factor = (count / FEW) ** 2
    peer = Contender(
        "rsatoolbox tau-a", few, None, factor=factor, part=f"{FEW} x {FEW} RDMs, times {factor:g}", rounds=2
    )
    found = compare([ours], [peer], dtype="float64", cost={}, quick=quick)
    each = found["entries"][0]["median"] / count**2
    sizes = {"stimuli": stimuli, "RDMs": f"{count} x {count}", "pairs": stimuli * (stimuli - 1) // 2}
    notes = [f"at this speed {RDMS**2:,} pairs of RDMs take {RDMS**2 * each:.0f} s"]
    return {"sizes": sizes, "notes": notes, **found}


ROWS = {
    "D1": Row(
        f"RDM comparisons, {RDMS} x {RDMS} RDMs of {STIMULI} stimuli, by Spearman, Pearson, cosine and whitened cosine",
        "rsatoolbox compare",
        None,
        f"{LIMIT:g} s each",
        6,
        run,
    ),
    "D2": Row(
        f"Kendall's tau-a, {TAUS} x {TAUS} RDMs of {STIMULI} stimuli",
        "rsatoolbox compare on a few pairs",
        None,
        "no target",
        2,
        run_tau,
    ),
}
