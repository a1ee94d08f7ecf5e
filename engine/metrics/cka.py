"""Linear centred kernel alignment (CKA) of a layer and a population, from their Gram matrices.

Kornblith et al., ICML 2019: with K and L the Gram matrices over the same n stimuli,

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))

``biased`` takes HSIC as the sum of products of the doubly centred matrices, which is large for unrelated data where
there are more units than stimuli (Murphy et al., Re-Align workshop at ICLR 2024). ``unbiased`` takes the estimator of
Song et al., JMLR 2012, which is zero on average for unrelated data. ``feature_corrected`` also removes the effect of
having recorded a few neurons of many, see ``population_cka``.

Cost: a few passes over n² numbers for each split, and one product of n² x neuroids multiply-adds.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from engine.errors import InputError, unknown
from engine.gram import Summary
from engine.metrics.rdm import check_responses
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits

VERSION = "1"  # of the numbers below; part of every result's key

Estimator = Literal["unbiased", "biased", "feature_corrected"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
FEWEST = {"unbiased": 4, "biased": 2, "feature_corrected": 4}  # stimuli


class Cka(NamedTuple):
    """Settings that change the numbers."""

    estimator: Estimator = "unbiased"


def score_layer(summary: Summary, responses: np.ndarray, splits: Sequence[Split] | None, settings: Cka) -> Scores:
    """CKA of a layer and one population on the test stimuli of every split.

    ``unbiased`` equals Brain-Score's ``cka`` without splits, and over 10 ``StratifiedShuffleSplit`` s with test_size .9
    and seed 1 its ``cka_cv``; ``biased`` its ``cka_biased``. The unbiased forms may be negative or exceed 1, and are 0
    where the product under the root is not positive, which is Brain-Score's rule (``feature_corrected``: where one of
    its factors is not); ``biased`` is NaN there.
    ``feature_corrected`` takes the layer's units as all there are and the neuroids as a sample.

    Args:
        summary: of the layer, over n stimuli.
        responses: n x neuroids of one population, none missing.
        splits: over the stimuli; ``validation`` is not used, since nothing is fitted. None compares over all stimuli
            as one split.

    Returns:
        ``value``: splits x 1, over the test stimuli; ``selection`` the same over the train stimuli, NaN without splits.

    Raises:
        InputError: responses are missing or of another number of stimuli, or there are too few stimuli or neuroids.
    """
    if settings.estimator not in ESTIMATORS:
        raise unknown("CKA estimator", settings.estimator, ESTIMATORS)
    y = check_responses(responses, ("stimuli", "neuroids"))
    gram = np.asarray(summary.gram, np.float64)
    if len(y) != len(gram):
        raise InputError(f"responses to {len(y)} stimuli were given for a layer over {len(gram)}; wanted the same ones")
    if splits is None:
        value = _layer_cka(gram, y, settings.estimator)
        return Scores(np.array([[value]]), np.full((1, 1), np.nan), {})

    def over(stimuli: np.ndarray) -> float:
        return _layer_cka(gram[np.ix_(stimuli, stimuli)], y[stimuli], settings.estimator)

    parts = check_splits(splits, len(gram))
    return Scores(np.array([[over(part.test)] for part in parts]), np.array([[over(part.train)] for part in parts]), {})


def compare_layer(summary: Summary, responses: np.ndarray, settings: Cka) -> np.ndarray:
    """CKA of a layer and one population over all stimuli, shape (1,). Arguments and errors as of ``score_layer``."""
    return score_layer(summary, responses, None, settings).value[0]


def population_cka(first: np.ndarray, second: np.ndarray) -> float:
    """CKA of two populations, each a sample of neurons: stimuli x neuroids of each, the same stimuli.

    The question and the aim are those of Chun, Canatar, Chung & Lee, arXiv 2502.15104, 2025; the estimator is derived
    here, not copied from there. As the number of neurons grows, K / p tends to the kernel of the whole population.
    HSIC is bilinear in the kernels, so with x_a the responses of neuron a

        HSIC(K, K) / p² = mean over all neurons a, b of h(a, b),    h(a, b) = HSIC(x_a x_aᵀ, x_b x_bᵀ)

    of which the p terms a = b never vanish and shrink only as 1 / p: they make CKA smaller the fewer neurons were
    recorded. The mean over a != b alone has the same expectation for any number of neurons. With the unbiased HSIC it
    is a U-statistic over four distinct stimuli and two distinct neurons. HSIC(K, L) pairs independent samples of two
    populations and needs no correction. Each of the three HSICs is therefore unbiased; their ratio is consistent, but
    with few neurons too large on average (the root of a noisy denominator), and far above 1 where neurons share little
    of their signal. Not for two populations that share neurons: those would count as pairs between them.

    The terms a = b need the first four moments of each neuron: n x neuroids multiply-adds beyond the Gram matrix.
    The result is 0 where one of the corrected HSIC(K, K) and HSIC(L, L) is not positive (too few or too noisy data).
    """
    x, y = (check_responses(given, ("stimuli", "neuroids")) for given in (first, second))
    if len(x) != len(y):
        raise InputError(f"populations over {len(x)} and {len(y)} stimuli were given; wanted the same stimuli")
    _check_size("feature_corrected", len(x))
    left, right = _u_centred(_gram(x)), _u_centred(_gram(y))
    between = _hsic(left, right) / (x.shape[1] * y.shape[1])
    return _ratio(between, neuron_corrected_hsic(x), neuron_corrected_hsic(y))


def neuron_corrected_hsic(responses: np.ndarray) -> float:
    """HSIC of a population with itself, per neuron squared, without bias by the sample of stimuli or of neurons.

    The mean over pairs of distinct neurons in ``population_cka``: (HSIC(K, K) - sum h(a, a)) / (p (p - 1)). For one
    neuron with responses x over n stimuli and power sums s_k, zero-diagonal x xᵀ has trace product s_2² - s_4, sum
    s_1² - s_2 and squared row sums s_1² s_2 - 2 s_1 s_3 + s_4; centring x changes nothing and leaves s_1 = 0.
    """
    x = np.asarray(responses, np.float64)
    stimuli, neurons = x.shape
    if neurons < 2:
        raise InputError("a correction for sampled neurons needs at least 2 neuroids, got 1; use estimator=unbiased")
    x = x - x.mean(axis=0)
    squares = x * x
    second, fourth = squares.sum(axis=0), np.einsum("ij,ij->j", squares, squares)
    own = second**2 - fourth + second**2 / ((stimuli - 1) * (stimuli - 2)) - 2 * fourth / (stimuli - 2)
    centred = _u_centred(_gram(x))
    return (_hsic(centred, centred) - own.sum() / (stimuli * (stimuli - 3))) / (neurons * (neurons - 1))


def _check_size(estimator: str, stimuli: int) -> None:
    if stimuli < FEWEST[estimator]:
        raise InputError(f"{estimator} CKA needs at least {FEWEST[estimator]} stimuli, got {stimuli}: use fewer folds")


def _layer_cka(gram: np.ndarray, responses: np.ndarray, estimator: Estimator) -> float:
    _check_size(estimator, len(gram))
    if estimator == "biased":
        left, right = _centred(gram), _centred(_gram(responses))
        within = np.vdot(left, left) * np.vdot(right, right)
        return float(np.vdot(left, right) / np.sqrt(within)) if within > 0 else float("nan")
    left, right = _u_centred(gram), _u_centred(_gram(responses))
    between, own = _hsic(left, right), _hsic(left, left)
    if estimator == "unbiased":
        return _ratio(between, own, _hsic(right, right))
    return _ratio(between / responses.shape[1], own, neuron_corrected_hsic(responses))


def _ratio(between: float, first: float, second: float) -> float:
    # Factors are negative only where corrected, and two negative estimates of a positive number make no ratio.
    return between / (np.sqrt(first) * np.sqrt(second)) if first > 0 and second > 0 else 0.0


def _gram(responses: np.ndarray) -> np.ndarray:
    centred = responses - responses.mean(axis=0)
    return centred @ centred.T


def _centred(gram: np.ndarray) -> np.ndarray:
    mean = gram.mean(axis=0)
    return gram - mean - mean[:, None] + mean.mean()


def _u_centred(gram: np.ndarray) -> np.ndarray:
    """The matrix with zero diagonal whose products are n (n - 3) times the unbiased HSIC (Székely & Rizzo 2014)."""
    n = len(gram)
    matrix = _centred(gram)  # changes nothing below but the rounding: off the diagonal it adds a_i + a_j
    np.fill_diagonal(matrix, 0.0)
    rows = matrix.sum(axis=0) / (n - 2)
    matrix -= rows
    matrix -= rows[:, None]
    matrix += rows.sum() / (n - 1)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def _hsic(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.vdot(left, right)) / (len(left) * (len(left) - 3))
