"""Responses that are like the recorded ones and have nothing to do with the stimuli.

Co-training that helps with these helps for another reason than what the neurons say about the pictures: Federer et al.
(Neural Networks 2020) found random data of the same statistics to help too. A third control is an untrained start.

``shuffled``    every stimulus gets the responses of another one: exactly the same population vectors.
``surrogate``   new population vectors: each neuroid keeps its values, the neuroids their covariance.

Both are applied to the training part of each session by itself, before batches are made.
"""

from collections.abc import Callable

import numpy as np

from engine.errors import InputError
from engine.solvers.threads import one_for_lapack

TURNS = 100
RATE = 0.5  # of the covariance's error that one turn corrects; all of it at once oscillates
WEAKEST = 1e-3  # share of the largest eigenvalue below which a direction is not moved in proportion to its weakness
ROUNDING = 1e-10


def derangement(count: int, seed: int) -> np.ndarray:
    """A random order of 0 .. count - 1 in which nothing keeps its place: uniform over the cycles through all.

    Raises InputError for fewer than 2.
    """
    if count < 2:
        raise InputError(f"{count} stimulus cannot get the responses of another one; wanted at least 2")
    order = np.random.default_rng([seed, count]).permutation(count)
    result = np.empty(count, np.intp)
    result[order] = np.roll(order, 1)
    return result


def shuffled(responses: np.ndarray, *, seed: int) -> np.ndarray:
    """The rows of responses (stimuli x neuroids) in another order, none in its place.

    Everything about the responses but their relation to the stimuli is as it was: the neuroids' marginals and
    covariances, what is missing, and the eigenvalues of the similarity matrix.
    """
    return responses[derangement(len(responses), seed)]


def surrogate(responses: np.ndarray, *, seed: int) -> np.ndarray:
    """Random responses with the same values of every neuroid and, nearly, the same covariance between neuroids.

    With Y = 1 mᵀ + U S Vᵀ (thin singular value decomposition of the centred responses, neuroids scaled to norm 1), the
    start is X = R S Vᵀ with R a uniformly random orthonormal frame orthogonal to 1: the same covariance exactly, and
    about Gaussian. Then, in turn, each column of X is replaced by the recorded values in the order of its ranks, giving
    Z, and X is moved by ``RATE`` times the least change of Z that would undo the error of its covariance D,
    Z D⁻¹ (C - D) / 2. The Z of the least error in all is returned. It is the idea of Schreiber & Schmitz (Physical
    Review Letters 1996), with a covariance in place of a spectrum.

    So all marginal moments are exact, whatever the distribution. Covariances are off by some tenths of the error with
    which that many stimuli would tell them, sqrt((mean x² y² - c²) / n), or half of it where there are more neuroids
    than stimuli.

    Cost: ``TURNS`` times 4 n q² + q³ flops and a sort of n q numbers, for n stimuli and q neuroids.

    Args:
        responses: stimuli x neuroids, none missing.

    Returns:
        float64, the same shape.

    Raises:
        InputError: responses are missing, or there are fewer than 3 stimuli.
    """
    y = np.asarray(responses, np.float64)
    missing = int((~np.isfinite(y)).any(axis=0).sum())
    if missing:
        raise InputError(
            f"{missing} of {y.shape[1]} neuroids lack responses to some stimuli, so their covariance is not known; "
            "choose neuroids that have all responses, or the shuffled control"
        )
    if len(y) < 3:
        raise InputError(f"surrogate responses to {len(y)} stimuli: wanted at least 3")
    with one_for_lapack():  # many small decompositions
        return _surrogate(y, seed)


def _surrogate(y: np.ndarray, seed: int) -> np.ndarray:
    mean = y.mean(axis=0)
    norm = np.linalg.norm(y - mean, axis=0)
    scaled = (y - mean) / np.where(norm > 0, norm, 1.0)
    in_order = np.sort(scaled, axis=0)
    wanted = scaled.T @ scaled
    _, s, vt = np.linalg.svd(scaled, full_matrices=False)
    there = s > ROUNDING * max(s[0], 1.0)
    noise = np.random.default_rng(seed).standard_normal((len(y), int(there.sum())))
    x = np.linalg.qr(noise - noise.mean(axis=0))[0] @ (s[there, None] * vt[there])
    best, least = in_order, np.inf
    for _ in range(TURNS):
        z = np.take_along_axis(in_order, _ranks(x), axis=0)
        found = z.T @ z
        error = float(np.sum((found - wanted) ** 2))
        if error < least:
            best, least = z, error
        w, v = np.linalg.eigh(found)
        w = np.maximum(w, WEAKEST * w[-1] if w[-1] > 0 else 1.0)
        x = x + RATE / 2 * z @ ((v / w) @ (v.T @ (wanted - found)))
    return np.take_along_axis(np.sort(y, axis=0), _ranks(best), axis=0)


def _ranks(x: np.ndarray) -> np.ndarray:
    """Of every value within its column, from 0; ties in the order of rows."""
    return x.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")


CONTROLS: dict[str, Callable[..., np.ndarray]] = {"shuffled": shuffled, "surrogate": surrogate}
"""Name of the flag -> (responses, seed=...) -> responses."""
