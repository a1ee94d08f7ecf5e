import numpy as np
import pytest
from rsatoolbox.inference import bootstrap_sample, eval_dual_bootstrap
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import RDMs
from rsatoolbox.util.inference_util import t_tests

from engine.errors import InputError
from engine.metrics.rdm_comparison import compare
from engine.statistics.bootstrap import draws
from engine.statistics.bootstrap_rdms import rdm_similarities
from engine.statistics.dual_bootstrap import dual_bootstrap

STIMULI, SUBJECTS, RESAMPLES = 14, 6, 40


def test_variances_intervals_and_tests_equal_rsatoolboxs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pairs = STIMULI * (STIMULI - 1) // 2
    truth = rng.random(pairs)
    models = truth + np.array([0.2, 0.5, 0.9])[:, None] * rng.random((3, pairs))
    measured = truth + 1.5 * rng.random((SUBJECTS, pairs))
    drawn = []

    def recorded(*given: object, **named: object) -> tuple[RDMs, np.ndarray, np.ndarray]:
        drawn.append(bootstrap_sample(*given, **named))
        return drawn[-1]

    monkeypatch.setattr("rsatoolbox.inference.evaluate.bootstrap_sample", recorded)
    fixed = [ModelFixed(str(number), model) for number, model in enumerate(models)]
    np.random.seed(1)  # noqa: NPY002  rsatoolbox draws from NumPy's global generator
    peer = eval_dual_bootstrap(fixed, RDMs(measured), "corr", N=RESAMPLES)
    subjects, stimuli = (
        np.stack([np.bincount(one[which], minlength=size) for one in drawn])
        for which, size in ((1, SUBJECTS), (2, STIMULI))
    )
    found = dual_bootstrap(
        compare(measured, models, "pearson"),
        rdm_similarities(stimuli, models, measured, "pearson"),
        subjects,
        stimuli=STIMULI,
    )
    np.testing.assert_allclose(found.variance, peer.model_var, rtol=1e-10)
    above = np.triu_indices(3, 1)
    np.testing.assert_allclose(found.difference_variance[above], peer.diff_var, rtol=1e-10)
    # Its estimate is the mean over resamples, ours that of the full data: only the widths are the same.
    reach = (peer.get_ci(0.95)[1] - peer.get_means()).ravel()
    np.testing.assert_allclose(found.high - found.estimate, reach, rtol=1e-10)
    means = np.stack([found.estimate, found.estimate])
    np.testing.assert_allclose(found.p, t_tests(means, found.difference_variance[above], dof=5), rtol=1e-10)


def test_it_recovers_the_variance_of_a_score_that_is_a_sum_of_independent_parts() -> None:
    """Scores whose mean has a known variance: 1 / subjects + 4 / stimuli + 9 / (subjects stimuli)."""
    rng = np.random.default_rng(0)
    found, plain = [], []
    for seed in range(60):
        parts = rng.normal(size=(20, 1)) + 2 * rng.normal(size=(1, 30)) + 3 * rng.normal(size=(20, 30))
        of_stimuli = draws(30, resamples=300, seed=seed)
        resampled = (of_stimuli @ parts.T / 30)[:, :, None]
        dual = dual_bootstrap(
            parts.mean(axis=1, keepdims=True), resampled, draws(20, resamples=300, seed=1000 + seed), stimuli=30
        )
        found.append(dual.variance[0])
        plain.append(dual.of_both[0])
    truth = 1 / 20 + 4 / 30 + 9 / 600
    # Each of 60 estimates has a relative error of about 0.25, their mean one of 0.03.
    assert abs(np.mean(found) / truth - 1) < 0.1
    assert np.mean(plain) > np.mean(found)


def test_the_median_is_that_of_repeated_subjects() -> None:
    rng = np.random.default_rng(0)
    scores, resampled, subjects = rng.normal(size=(7, 2)), rng.normal(size=(30, 7, 2)), draws(7, resamples=30)
    found = dual_bootstrap(scores, resampled, subjects, stimuli=9, centre="median")
    both = np.stack([np.median(np.repeat(r, c, axis=0), axis=0) for r, c in zip(resampled, subjects, strict=True)])
    alone = np.stack([np.median(np.repeat(scores, c, axis=0), axis=0) for c in subjects])
    np.testing.assert_allclose(found.of_both, both.var(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(found.of_subjects, alone.var(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(found.of_stimuli, np.median(resampled, axis=1).var(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_array_equal(np.diag(found.p), 1)


def test_resamples_without_a_score_are_left_out_and_too_few_refused() -> None:
    rng = np.random.default_rng(0)
    scores, resampled, subjects = rng.normal(size=(4, 2)), rng.normal(size=(30, 4, 2)), draws(4, resamples=30)
    some = resampled.copy()
    some[3:5, 1, 0] = np.nan
    kept = np.setdiff1d(np.arange(30), [3, 4])
    with_gaps = dual_bootstrap(scores, some, subjects, stimuli=9)
    without = dual_bootstrap(scores, resampled[kept], subjects[kept], stimuli=9)
    np.testing.assert_array_equal(with_gaps.variance, without.variance)
    with pytest.raises(InputError, match="2 or more subjects"):
        dual_bootstrap(scores[:1], resampled[:, :1], subjects[:, :1], stimuli=9)
