import numpy as np
import pytest

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.procrustes import Procrustes, compare_layer, score_layer
from engine.solvers.folds import Split
from engine.splits import kfold


def summary(x: np.ndarray, dtype: type = np.float64) -> Summary:
    shift = x[:8].mean(axis=0)
    z = (x - shift).astype(dtype)
    return Summary(z @ z.T, x.sum(axis=1), z @ shift, float(shift @ shift), x.shape[1])


def data(stimuli: int, units: int, neuroids: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(stimuli, units)) * np.linspace(2, 0.5, units) + rng.normal(size=units)
    y = x @ rng.normal(size=(units, neuroids)) / np.sqrt(units) + 0.5 * rng.normal(size=(stimuli, neuroids))
    return x, y + 3


def whitening(x: np.ndarray, alpha: float) -> np.ndarray:
    """By its definition in units x units, for data of full rank."""
    values, vectors = np.linalg.eigh(x.T @ x)
    return (vectors * (alpha + (1 - alpha) / np.sqrt(values))) @ vectors.T


def by_definition(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], alpha: float) -> float:
    """Angular distance from the raw activations: pad, centre, whiten, rotate."""
    width = max(part.shape[1] for part in train)
    fitted, held = [], []
    for a, b in zip(train, test, strict=True):
        z = whitening(a - a.mean(axis=0), alpha) if alpha < 1 else np.eye(a.shape[1])
        pad = ((0, 0), (0, width - a.shape[1]))
        fitted.append(np.pad((a - a.mean(axis=0)) @ z, pad))
        held.append(np.pad((b - a.mean(axis=0)) @ z, pad))
    u, _, vt = np.linalg.svd(fitted[0].T @ fitted[1])
    x, y = held[0] @ u, held[1] @ vt.T
    return float(np.arccos(np.sum(x * y) / np.linalg.norm(x) / np.linalg.norm(y)))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("units", "neuroids"), [(20, 12), (9, 14)])
def test_equals_the_definition_in_units(alpha: float, units: int, neuroids: int) -> None:
    x, y = data(60, units, neuroids)
    splits = [Split(np.arange(45), np.arange(45, 60), None), Split(np.arange(15, 60), np.arange(15), None)]
    found = score_layer(summary(x), y, splits, Procrustes(alpha))
    for i, split in enumerate(splits):
        train, test = (x[split.train], y[split.train]), (x[split.test], y[split.test])
        assert abs(found.details["distance"][i, 0] - by_definition(train, test, alpha)) < 1e-10
        assert abs(found.selection[i, 0] - np.cos(by_definition(train, train, alpha))) < 1e-10
    wanted = np.cos(by_definition((x, y), (x, y), alpha))
    assert abs(compare_layer(summary(x), y, Procrustes(alpha))[0] - wanted) < 1e-10


def test_equals_the_definition_where_units_outnumber_the_stimuli() -> None:
    x, y = data(60, 200, 12)
    split = Split(np.arange(45), np.arange(45, 60), None)
    found = score_layer(summary(x), y, [split], Procrustes())
    wanted = by_definition((x[:45], y[:45]), (x[45:], y[45:]), 1.0)
    assert abs(found.details["distance"][0, 0] - wanted) < 1e-10
    wanted = by_definition((x, y), (x, y), 1.0)
    assert abs(compare_layer(summary(x), y, Procrustes())[0] - np.cos(wanted)) < 1e-10


def test_a_rotated_copy_is_at_distance_zero() -> None:
    x, _ = data(60, 20, 1)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(30, 20)))[0].T  # into 30 dimensions
    splits = kfold(60, folds=3, seed=0)
    for alpha in (0.0, 0.5, 1.0):
        found = score_layer(summary(x), x @ rotation + 2, splits, Procrustes(alpha))
        assert (found.details["distance"] < 1e-6).all()  # arccos turns 1 - 1e-13 into 4e-7
    # A linear map that is no rotation is at distance zero for alpha = 0 only.
    skewed = x * np.linspace(1, 5, 20)
    assert (score_layer(summary(x), skewed, splits, Procrustes(0.0)).details["distance"] < 1e-6).all()
    assert (score_layer(summary(x), skewed, splits, Procrustes(1.0)).details["distance"] > 0.1).all()


def test_by_hand() -> None:
    # Four stimuli around the origin; the population differs in that its second neuron is three times as large.
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    y = x * np.array([1.0, 3.0])
    # <X, Y> = 2 + 6, |X|² = 4, |Y|² = 2 + 18
    assert abs(compare_layer(summary(x), y, Procrustes())[0] - 8 / np.sqrt(80)) < 1e-14
    assert abs(compare_layer(summary(x), y, Procrustes(0.0))[0] - 1) < 1e-14
    mirrored = Split(np.arange(4), np.array([4, 5]), None)
    more = np.array([[2.0, 0.0], [0.0, 1.0]])
    x2, y2 = np.concatenate([x, more]), np.concatenate([y, -more])
    # Fitted without a turn, the two test stimuli point the other way.
    found = score_layer(summary(x2), y2, [mirrored], Procrustes())
    assert abs(found.value[0, 0] + 1) < 1e-12
    assert abs(found.details["distance"][0, 0] - np.pi) < 1e-6


def test_selection_comes_from_the_inner_folds() -> None:
    x, y = data(60, 200, 12)
    splits = kfold(60, folds=3, seed=0)
    found = score_layer(summary(x), y, splits, Procrustes(0.5))
    for i, split in enumerate(splits):
        assert split.validation is not None
        inner = [Split(np.setdiff1d(split.train, part), part, None) for part in split.validation]
        wanted = score_layer(summary(x), y, inner, Procrustes(0.5)).value.mean()
        assert abs(found.selection[i, 0] - wanted) < 1e-14


def test_float32_products_are_not_blown_up_by_whitening() -> None:
    x, y = data(60, 20, 12)  # rank 20 of 60: 40 directions of the Gram matrix are rounding errors
    splits = kfold(60, folds=3, seed=0)
    exact = score_layer(summary(x), y, splits, Procrustes(0.0)).value
    rounded = score_layer(summary(x, np.float32), y, splits, Procrustes(0.0)).value
    np.testing.assert_allclose(rounded, exact, atol=1e-5)


def test_what_is_not_defined() -> None:
    x, y = data(60, 20, 12)
    splits = kfold(60, folds=3, seed=0)
    assert np.isnan(score_layer(summary(np.ones_like(x)), y, splits, Procrustes()).value).all()
    with pytest.raises(InputError, match=r"alpha=1\.5"):
        score_layer(summary(x), y, splits, Procrustes(1.5))
    with pytest.raises(InputError, match="for a layer over 60"):
        score_layer(summary(x), y[1:], splits, Procrustes())
    y[0, 0] = np.nan
    with pytest.raises(InputError, match="1 of 12 neuroids lack responses"):
        compare_layer(summary(x), y, Procrustes())
