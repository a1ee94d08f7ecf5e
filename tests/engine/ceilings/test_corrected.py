import numpy as np
import pytest

from engine.ceilings import internal_consistency
from engine.ceilings.corrected import CONVENTIONS, correct, on_aggregates, on_both_sides, reliable
from engine.errors import InputError

R, C = np.array([0.4, -0.4, 0.5, 0.5]), np.array([0.64, 0.64, 0.0, np.nan])


@pytest.mark.parametrize(
    ("convention", "wanted"),
    [
        ("r", [0.4, -0.4, 0.5, 0.5]),
        ("r/sqrt(c)", [0.5, -0.5, np.nan, np.nan]),
        ("(r/c)^2", [0.390625, 0.390625, np.nan, np.nan]),
        ("r^2/c", [0.25, 0.25, np.nan, np.nan]),
        ("r|r|/c", [0.25, -0.25, np.nan, np.nan]),
    ],
)
def test_conventions_by_hand(convention: str, wanted: list[float]) -> None:
    assert convention in CONVENTIONS
    np.testing.assert_allclose(correct(R, C, convention), wanted, rtol=1e-14)  # type: ignore[arg-type]  # one of the names


def test_aggregates_are_brain_scores() -> None:
    # AlexNet on public IT in its example notebooks: raw, ceiling, and the scores by the formulas before and since 2026.
    r = np.array([[0.57962116 - 0.01], [0.57962116 + 0.01]])
    found = on_aggregates(r, 0.81579938, "r^2/c")
    assert abs(found.score - 0.4118) < 5e-5
    assert abs(found.error - 0.01 / np.sqrt(2)) < 1e-12
    assert abs(on_aggregates(r, 0.81579938, "(r/c)^2").score - 0.50480277) < 1e-7


def test_medians_come_before_means_and_before_the_ceiling() -> None:
    rng = np.random.default_rng(0)
    r, c = rng.uniform(0.1, 0.9, (5, 7)), rng.uniform(0.3, 0.9, (10, 7))
    found = on_aggregates(r, c, "r^2/c")
    medians = [sorted(row)[3] for row in r]
    assert abs(found.raw - np.mean(medians)) < 1e-15
    assert abs(found.ceiling - np.mean([sorted(row)[3] for row in c])) < 1e-15
    assert abs(found.score - found.raw**2 / found.ceiling) < 1e-15
    assert abs(found.error - np.std(medians) / np.sqrt(5)) < 1e-15
    assert found.neuroids == 7
    one_more = on_aggregates(np.c_[r, np.full(5, np.nan)], np.c_[c, np.full(10, np.nan)], "r^2/c")
    assert one_more == found


def test_the_aggregate_of_reliabilities_is_the_internal_consistency() -> None:
    rng = np.random.default_rng(1)
    ceiling = internal_consistency(rng.normal(size=(40, 6)) + rng.normal(size=(6, 40, 6)))
    assert on_aggregates(rng.uniform(size=(3, 6)), ceiling.neuroids, "r").ceiling == ceiling.value


def test_thresholds_say_how_many_they_drop() -> None:
    found = reliable(np.array([0.3, 0.29, np.nan, 0.9, -0.1, np.nan]), 0.3)
    np.testing.assert_array_equal(found.mask, [True, False, False, True, False, False])
    assert (found.below, found.undefined) == (2, 2)


def test_both_sides_by_hand() -> None:
    found = on_both_sides(np.array([0.3, 0.3, 0.3]), np.array([0.5, -0.5, 1.0]), np.array([0.72, -0.5, np.nan]))
    np.testing.assert_allclose(found, [0.5, np.nan, np.nan], rtol=1e-14)


def test_unknown_conventions_and_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown ceiling convention 'r2/c'; did you mean r\^2/c"):
        correct(R, C, "r2/c")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InputError, match="wanted r of splits x neuroids"):
        on_aggregates(R, 0.5, "r")
