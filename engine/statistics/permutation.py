"""Permutation null of encoding by ridge regression: the whole cross-validation, repeated on shuffled stimuli.

The rows of the responses are shuffled against the features and every fold is fitted and scored again. At a given
penalty the prediction of a test part V from a train part T is one matrix, whatever the responses: with G of
``engine.solvers.inverse`` at that penalty and H all stimuli outside T,

    prediction_V = W Y_T,    W = -[(G_HH)^-1 G_HT]_V

which includes the unpenalised intercept. Shuffled responses are only more targets of that product.

Penalties stay those chosen on the true responses. Choosing them again in every shuffle would cost the inner folds and
the rest of the grid each time, some twenty times as much, and would change little: they are chosen without the test
part, and r does not depend on how far a prediction is shrunk. So whatever the penalty, r of shuffled responses scatters
about nought, with a width that the size of the test part decides and the spectrum of the kernel modifies. What the test
asks is whether these features, at this penalty, predict better than they predict responses to other stimuli.

Cost in flops, for n stimuli, p penalties in use, s splits with |V| test and |T| train stimuli, t neuroids, P shuffles:

    p 1.6 n^3 + p s (2 |H|^2 |T| + 2 |H| |V| |T|)    in the kernel's precision, float64
    2 s |V| |T| t P                                  in float32, 1.6 n^2 t P for 5 folds

3200 stimuli, 256 neuroids, 5 folds, 7 penalties, 1000 shuffles: 0.6 Tflop in float64, 4.2 Tflop in float32. A product
takes one neuroid in as many shuffles as 4 MiB hold (``BLOCK``), put together on the device. Memory: some five times the
kernel in float64, one W and one block, 8 n P bytes of indices, and 4 s t P bytes of results.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.solvers import cholesky
from engine.solvers.folds import Split, check_splits, design, restrict
from engine.solvers.inverse import centred_inverse
from engine.solvers.missing import patterns
from engine.solvers.routes import check_kernel, deflated
from engine.solvers.scoring import pearson
from engine.solvers.threads import one_for_lapack

BLOCK = 2**22  # bytes of shuffled responses in one product on a CPU: they stay in cache
ACCELERATOR_BLOCK = 2**28


class Null(NamedTuple):
    """Scores of true and of shuffled responses, from the same arithmetic.

    Attributes:
        observed: splits x neuroids, Pearson r on the test part.
        null: permutations x splits x neuroids; NaN where a shuffled neuroid is constant on either part.
    """

    observed: np.ndarray
    null: np.ndarray


def permutation_null(
    kernel: np.ndarray,
    responses: np.ndarray,
    splits: Sequence[Split],
    penalties: np.ndarray,
    *,
    permutations: int = 1000,
    seed: int = 0,
    strata: Sequence[object] | None = None,
) -> Null:
    """Pearson r of ridge predictions when the stimuli of the responses are shuffled, every split refitted.

    Equals, for each shuffle, ``sklearn.linear_model.Ridge(a).fit(X[train], Y[shuffle][train])`` scored on
    ``Y[shuffle][test]``, to the precision of float32 products. The same seed gives the same shuffles, so that nulls of
    several layers can be compared shuffle by shuffle (``family_wise``). All neuroids are shuffled alike, which keeps
    their correlations: the null of a median over neuroids is the median of their nulls.

    Permutation tests of encoding: Ojala and Garriga, JMLR 2010; Nichols and Holmes, Human Brain Mapping 2002.

    Args:
        kernel: stimuli x stimuli, X X' of one layer, centred or not.
        responses: stimuli x neuroids, NaN where missing. A neuroid is shuffled among those stimuli of the splits that
            it has responses to.
        splits: outer folds; their inner folds are not used.
        penalties: splits x neuroids, those chosen on the true responses.
        permutations: shuffles.
        seed: of the shuffles.
        strata: label of each stimulus; responses are shuffled among stimuli of the same label only.

    Raises:
        InputError: shapes, folds or values that cannot be used; a penalty too small for the kernel.
    """
    stimuli, neuroids = responses.shape
    splits, penalties = check_splits(splits, stimuli), np.asarray(penalties, np.float64)
    if penalties.shape != (len(splits), neuroids) or not (penalties > 0).all() or not np.isfinite(penalties).all():
        raise InputError(
            f"wanted a positive penalty for each of {len(splits)} splits x {neuroids} neuroids, got an array of shape "
            f"{penalties.shape} with {int((penalties > 0).sum())} positive values"
        )
    if permutations < 1:
        raise InputError(f"permutations={permutations}: wanted 1 or more, such as 1000")
    if len(kernel) != stimuli or (strata is not None and len(strata) != stimuli):
        raise InputError(
            f"a kernel of {len(kernel)} stimuli and {'no' if strata is None else len(strata)} strata do not fit "
            f"responses to {stimuli} stimuli"
        )
    labels = np.zeros(stimuli, int) if strata is None else np.unique([str(s) for s in strata], return_inverse=True)[1]
    r = np.empty((len(splits), neuroids, permutations + 1), np.float32)
    with jax.enable_x64(True), one_for_lapack():
        given = jnp.asarray(kernel, jnp.float64)
        check_kernel(given, 2)
        used = np.unique(np.concatenate([np.concatenate([split.train, split.test]) for split in splits]))
        for pattern in patterns(responses, used):
            orders = shuffles(pattern.stimuli, labels, permutations, seed)
            values = np.asarray(responses[np.ix_(pattern.stimuli, pattern.targets)], np.float64)
            spread = values.std(axis=0)
            values = ((values - pattern.means) / np.where(spread > 0, spread, 1)).astype(np.float32)
            own = deflated(given[pattern.stimuli[:, None], pattern.stimuli])[0]
            r[:, pattern.targets] = _all_scores(
                own, values, restrict(splits, pattern.stimuli), penalties[:, pattern.targets], orders
            )
    return Null(r[:, :, 0], np.moveaxis(r[:, :, 1:], 2, 0))


def shuffles(stimuli: np.ndarray, labels: np.ndarray, permutations: int, seed: int) -> np.ndarray:
    """Where the response to each stimulus is taken from: stimuli x (1 + permutations), the first column in order.

    Every shuffle is a ranking of all stimuli drawn once, so that neuroids which lack some are shuffled as alike as
    can be.

    Args:
        stimuli: ascending indices of those that take part.
        labels: of all stimuli; shuffled within the same label.
        permutations: how many.
        seed: same seed and labels, same rankings.
    """
    rng = np.random.default_rng(seed)
    places = np.argsort(labels[stimuli], kind="stable")
    position = np.full(len(labels), -1)
    position[stimuli] = np.arange(len(stimuli))
    orders = np.empty((len(stimuli), permutations + 1), np.int32)
    orders[:, 0] = np.arange(len(stimuli))
    for turn in range(1, permutations + 1):
        ranked = rng.permutation(len(labels))
        ranked = ranked[position[ranked] >= 0]
        orders[places, turn] = position[ranked[np.argsort(labels[ranked], kind="stable")]]
    return orders


def p_values(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Share of shuffles that reach the observed score, the true order counted as one: (1 + #) / (1 + permutations).

    One-sided: a score is significant where it is higher than by chance. Never 0 (Phipson and Smyth, Stat. Appl.
    Genet. Mol. Biol. 2010). Shuffles that are NaN count as reaching it; NaN where the observed score is NaN.

    Args:
        observed: any shape, such as neuroids: ``np.nanmean(observed, axis=0)`` over splits.
        null: permutations x that shape.
    """
    reached = (~(null < observed)).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (1 + reached) / (1 + len(null)))


def family_wise(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """P values corrected for the choice among layers: each score against the highest of all layers in every shuffle.

    The maximum statistic keeps the chance of any false layer at the nominal level whatever the dependence between
    layers (Westfall and Young 1993; Nichols and Holmes 2002). At most the Bonferroni correction, much less where
    layers resemble each other.

    Args:
        observed: layers x any shape, such as layers x neuroids or layers x regions; each column is a family of its
            own. Reshape to (layers * neuroids) x 1 to correct for all of them together.
        null: permutations x the same, all layers with the same shuffles.
    """
    highest = np.where(np.isnan(null), -np.inf, null).max(axis=1)
    undefined = np.isnan(null).all(axis=1)
    return p_values(observed, np.where(undefined, np.nan, highest)[:, None])


def _all_scores(
    kernel: jax.Array, values: np.ndarray, splits: Sequence[Split], penalties: np.ndarray, orders: np.ndarray
) -> np.ndarray:
    """Splits x neuroids x shuffles of neuroids that have all stimuli."""
    stimuli, wanted = orders.shape
    width = _width(stimuli, wanted)
    filled = np.pad(orders, ((0, 0), (0, -wanted % width)), mode="wrap")
    columns = [jnp.asarray(column) for column in np.ascontiguousarray(values.T)]
    found = np.empty((len(splits), len(columns), filled.shape[1]), np.float32)
    for penalty in np.unique(penalties):
        inverse = centred_inverse(kernel, jnp.asarray(penalty, kernel.dtype))
        if not bool(jnp.isfinite(inverse).all()):
            raise InputError(
                f"ridge at penalty {penalty:.3g} broke down: the kernel is not positive definite there; choose among "
                "higher penalties"
            )
        for number, split in enumerate(splits):
            held, test, train, _ = design(split, stimuli)
            chosen = np.flatnonzero(penalties[number] == penalty)
            if not len(chosen):
                continue
            weights = _predictor(inverse, held, test, train)
            blocks = [
                (jnp.asarray(part[split.train]), jnp.asarray(part[split.test]))
                for part in np.split(filled, filled.shape[1] // width, axis=1)
            ]
            for neuroid in chosen:
                scores = [_score(weights, columns[neuroid], *block) for block in blocks]
                found[number, neuroid] = np.concatenate(jax.device_get(scores))
    return found[:, :, :wanted]


def _width(stimuli: int, wanted: int) -> int:
    """Shuffles in a product: as equal as can be, a multiple of 16, within the bound on bytes."""
    most = max(16, (BLOCK if jax.default_backend() == "cpu" else ACCELERATOR_BLOCK) // (4 * stimuli))
    count = -(-wanted // most)
    return -(-wanted // (count * 16)) * 16


@jax.jit
def _predictor(inverse: jax.Array, held: jax.Array, test: jax.Array, train: jax.Array) -> jax.Array:
    """W of the module's docstring, less its mean over the test part, which r does not see: test x train, float32.

    At high penalties W is nearly constant; what differs between stimuli would be lost beside that in float32.
    """
    root = cholesky.inverse_factor(inverse[jnp.ix_(held, held)])
    half = jnp.matmul(root, inverse[jnp.ix_(held, train)], precision="highest")
    weights = -jnp.matmul(root[:, test].T, half, precision="highest")
    return (weights - weights.mean(axis=0)).astype(jnp.float32)


@jax.jit
def _score(weights: jax.Array, responses: jax.Array, train: jax.Array, test: jax.Array) -> jax.Array:
    """R of one neuroid in some shuffles; ``train`` and ``test`` are where their responses come from, by shuffle."""
    fitted = responses.at[train].get(mode="promise_in_bounds")
    measured = responses.at[test].get(mode="promise_in_bounds")
    r = pearson(measured, jnp.matmul(weights, fitted, precision="highest"), jnp.nan)
    # Predictions from a constant train part are constant but for rounding, which must not be scored.
    return jnp.where((fitted == fitted[0]).all(axis=0), jnp.nan, r)
