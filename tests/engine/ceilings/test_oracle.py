import numpy as np
import pytest

from engine.ceilings.oracle import oracle_conservative, oracle_jackknife
from engine.errors import InputError
from tests.engine.ceilings.test_noise import as_list, simulated, with_holes

REPEATS = {"even": simulated(), "uneven": with_holes(simulated())}


@pytest.mark.parametrize("kind", REPEATS)
def test_jackknife_equals_a_loop_over_responses(kind: str) -> None:
    responses, oracles = [], []
    for own in as_list(REPEATS[kind]):
        for left_out in range(len(own)):
            responses.append(own[left_out])
            oracles.append(np.delete(own, left_out, axis=0).mean(axis=0))
    pairs = zip(np.transpose(responses), np.transpose(oracles), strict=True)
    wanted = [np.corrcoef(a, b)[0, 1] for a, b in pairs]
    np.testing.assert_allclose(oracle_jackknife(REPEATS[kind]), wanted, rtol=1e-11)


@pytest.mark.parametrize("kind", REPEATS)
def test_both_equal_neuralpredictors(kind: str) -> None:
    reference = pytest.importorskip("neuralpredictors.measures.np_functions")
    targets = as_list(REPEATS[kind])
    # Its correlation adds 1e-8 to both standard deviations, which are near 1.
    np.testing.assert_allclose(oracle_jackknife(REPEATS[kind]), reference.oracle_corr_jackknife(targets), rtol=1e-7)
    wanted = reference.oracle_corr_conservative(targets)
    np.testing.assert_allclose(oracle_conservative(REPEATS[kind]), wanted, rtol=1e-12)


def test_single_responses_and_constant_neuroids() -> None:
    repeats = simulated()
    more = np.concatenate([repeats, np.full((5, 1, 4), np.nan)], axis=1)
    more[0, -1] = 100.0  # a stimulus with one response has no oracle
    np.testing.assert_array_equal(oracle_jackknife(more), oracle_jackknife(repeats))
    np.testing.assert_array_equal(oracle_conservative(more), oracle_conservative(repeats))
    repeats[:, :, 0] = 3.3
    assert np.isnan(oracle_jackknife(repeats)[0])
    assert np.isnan(oracle_conservative(repeats)[0])
    with pytest.raises(InputError, match="two or more repetitions"):
        oracle_jackknife(repeats[:1])
