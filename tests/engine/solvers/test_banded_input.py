"""What banded ridge refuses, and what it says."""

from typing import Any

import numpy as np
import pytest

from engine.errors import InputError
from engine.solvers.banded import fit_banded, simplex_weightings
from tests.engine.solvers.banded_problems import FIVE, GRID, WEIGHTINGS, held_out, problem


def test_candidates_that_cannot_be_factorised_are_refused() -> None:
    data = problem(units=(4, 60, 3))
    kernels = data.kernels.astype(np.float32)
    with (
        pytest.raises(InputError, match=r"weighting \[0\.\d+ .*\] at penalty 1e-12 broke down: .* in float32; raise"),
        pytest.warns(RuntimeWarning, match=r"12 of 24 candidates have penalties below .* float32, up to"),
    ):
        fit_banded(kernels, data.responses, held_out(FIVE), WEIGHTINGS * [1, 0, 1], [1e3, 1e-12])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kernels": np.ones((46, 46))},
            r"one square kernel .* for each feature space, got .* \(46, 46\)",
        ),
        ({"kernels": np.ones((3, 46, 5))}, "one square kernel"),
        ({"kernels": np.ones((0, 46, 46))}, "one square kernel"),
        ({"kernels": np.ones((3, 46, 46), int)}, "real numbers for each feature space, got int"),
        ({"kernels": np.full((3, 46, 46), np.nan)}, "kernels hold NaN"),
        ({"responses": np.ones((45, 2))}, "responses of 46 stimuli x targets"),
        ({"responses": np.full((46, 2), np.nan)}, "responses hold NaN or infinity"),
        ({"validation": []}, "no inner fold"),
        ({"validation": [np.array([46])]}, "lie in 0 ... 45"),
        ({"validation": [np.arange(45)]}, "1 stimuli are left"),
        ({"weightings": np.ones(3)}, r"candidates x 3 spaces, got shape \(3,\)"),
        ({"weightings": np.ones((4, 2))}, r"candidates x 3 spaces, got shape \(4, 2\)"),
        ({"weightings": np.zeros((0, 3))}, r"got shape \(0, 3\)"),
        ({"weightings": np.zeros((1, 3))}, "not all 0"),
        ({"weightings": np.array([[1.0, -0.5, 0.5]])}, "positive numbers or 0"),
        ({"weightings": np.array([[1.0, np.nan, 0.5]])}, "positive numbers or 0"),
        ({"penalties": [0.0]}, "positive numbers"),
        ({"selection": "r3"}, "unknown selection score 'r3'"),
        ({"groups": np.zeros(3)}, "one group label for each of 8 targets"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    data = problem()
    arguments = {
        "kernels": data.kernels,
        "responses": data.responses,
        "validation": held_out(FIVE),
        "weightings": WEIGHTINGS,
        "penalties": GRID,
    }
    with pytest.raises(InputError, match=message):
        fit_banded(**arguments | change)


@pytest.mark.parametrize("arguments", [(0, 5, 0), (2, 0, 0), (2, 5, 0, ()), (2, 5, 0, (0.0,)), (2, 5, 0, (np.inf,))])
def test_bad_draws_are_refused(arguments: Any) -> None:
    with pytest.raises(InputError, match="at least one space, one weighting and positive concentrations"):
        simplex_weightings(*arguments)
