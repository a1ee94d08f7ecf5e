import numpy as np
import pytest
from scipy.stats import bootstrap, spearmanr

from engine.errors import InputError
from engine.harmonize.alignment import Alignment, alignment, alignment_difference, summarise

RNG = np.random.default_rng(0)
HUMAN = RNG.uniform(size=(6, 20, 15)).astype(np.float32)
SALIENCY = (HUMAN + RNG.normal(size=HUMAN.shape)).astype(np.float32)


def test_spearman_equals_scipy_with_ties_too() -> None:
    human = np.maximum(HUMAN - 0.5, 0).round(1)  # half of the pixels are zero
    found = alignment(SALIENCY, human).spearman
    wanted = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(SALIENCY, human, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-14)


def test_overlap_of_the_top_tenth_by_hand() -> None:
    """100 pixels, the top ten of one 0 ... 9 and of the other 4 ... 13: six shared, fourteen in either."""
    one, other = (np.zeros((1, 10, 10)) for _ in range(2))
    one.ravel()[:10], other.ravel()[4:14] = np.arange(1, 11), np.arange(1, 11)
    found = alignment(one, other)
    assert found.dice[0] == pytest.approx(12 / 20, abs=1e-9)
    assert found.iou[0] == pytest.approx(6 / 14, abs=1e-9)
    same = alignment(one, 3 * one**2)  # ranks and top are kept by what rises
    assert [float(part[0]) for part in same] == pytest.approx([1, 1, 1], abs=1e-9)
    assert alignment(one, -one).spearman[0] == pytest.approx(-1)


def test_overlap_equals_the_published_formula() -> None:
    found = alignment(SALIENCY, HUMAN)
    for i, (a, b) in enumerate(zip(SALIENCY, HUMAN, strict=True)):
        a, b = (x > np.percentile(x, 90, (0, 1)) for x in (a, b))
        assert found.dice[i] == pytest.approx(2 * np.sum(a * b) / (a.sum() + b.sum() + 1e-9), abs=1e-15)
        assert found.iou[i] == pytest.approx(np.logical_and(a, b).sum() / (np.logical_or(a, b).sum() + 1e-9), abs=1e-15)


def test_summary_is_the_mean_with_a_bootstrap_interval() -> None:
    found = alignment(SALIENCY, HUMAN)
    summary = summarise(found, seed=3)
    for name in ("spearman", "dice", "iou"):
        values = getattr(found, name)
        interval = bootstrap(
            (values,), np.mean, method="percentile", n_resamples=2000, rng=np.random.default_rng(3)
        ).confidence_interval
        np.testing.assert_allclose(summary[name][:3], [values.mean(), *interval], atol=1e-12)
    np.testing.assert_allclose(summary["alignment"][:3], np.array(summary["spearman"][:3]) / 0.65753, rtol=1e-12)
    assert summary["dice"].images == 6


def test_differences_are_paired_by_image() -> None:
    before = alignment(SALIENCY, HUMAN)
    after = Alignment(*(part + 0.1 for part in before))  # the same gain everywhere: no uncertainty
    gain = alignment_difference(before, after)
    np.testing.assert_allclose(gain["spearman"][:3], [0.1, 0.1, 0.1], atol=1e-12)
    np.testing.assert_allclose(gain["alignment"].value, 0.1 / 0.65753, rtol=1e-9)
    with pytest.raises(InputError, match="before has 6 images and after 5"):
        alignment_difference(before, Alignment(*(part[:5] for part in after)))


def test_constant_maps_are_left_out_and_counted() -> None:
    flat = SALIENCY.copy()
    flat[2] = 0.25
    before, after = alignment(flat, HUMAN), alignment(SALIENCY, HUMAN)
    assert np.isnan([part[2] for part in before]).all()
    assert summarise(before)["spearman"].images == 5
    kept = np.delete(after.spearman - before.spearman, 2)
    assert alignment_difference(before, after)["spearman"][:1] == (kept.mean(),)
    with pytest.raises(InputError, match="0 of 6 images"):
        summarise(alignment(np.zeros_like(HUMAN), HUMAN))


def test_bad_maps_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(6, 20, 15\) and human maps of shape \(5, 20, 15\)"):
        alignment(SALIENCY, HUMAN[:5])
    broken = HUMAN.copy()
    broken[[1, 4], 0, 0] = np.inf
    with pytest.raises(InputError, match=r"the human map of image 1 \(and 1 more\) is not finite"):
        alignment(SALIENCY, broken)
