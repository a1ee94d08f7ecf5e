import numpy as np
import pytest
import scipy.linalg

from engine.solvers import cholesky


@pytest.mark.parametrize("lapack", [1, 4, 50])
@pytest.mark.parametrize("n", [1, 5, 13, 32])
def test_factor_inverse_and_solution_equal_scipy(n: int, lapack: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cholesky, "LAPACK", lapack)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, n + 3))
    matrix, values = x @ x.T, rng.standard_normal((n, 2))
    noise = np.triu(rng.standard_normal((n, n)), 1)  # the upper half is not read
    factor = cholesky.inverse_factor(matrix + noise)
    np.testing.assert_allclose(factor, np.linalg.inv(np.linalg.cholesky(matrix)), atol=1e-9)
    np.testing.assert_allclose(cholesky.inverse(matrix + noise), np.linalg.inv(matrix), atol=1e-9)
    np.testing.assert_allclose(
        cholesky.solve(factor, values), scipy.linalg.solve(matrix, values, assume_a="pos"), atol=1e-9
    )


@pytest.mark.parametrize("lapack", [4, 50])
def test_matrices_that_are_not_positive_definite_give_nan(lapack: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cholesky, "LAPACK", lapack)
    for position in (0, 3, 9):
        matrix = np.eye(10)
        matrix[position, position] = -1
        assert np.isnan(cholesky.inverse_factor(matrix)).any()


def test_errors_are_those_of_lapack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cholesky, "LAPACK", 16)
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((128, 128)))[0]
    matrix = (left * np.logspace(0, -4, 128)) @ left.T
    exact = np.linalg.inv(matrix)
    theirs = scipy.linalg.inv(scipy.linalg.cholesky(matrix.astype(np.float32), lower=True))
    ours = np.asarray(cholesky.inverse(matrix.astype(np.float32)))
    assert np.abs(ours - exact).max() < 4 * np.abs(theirs.T @ theirs - exact).max()
