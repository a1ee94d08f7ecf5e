import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import LinearRegression, Ridge

from engine.errors import InputError
from engine.metrics.reverse_voxels import average_presentations, top_voxels_block

SHOWN = np.tile(np.arange(12), 3)


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(30, 6))
    train, test = rng.normal(size=(50, 30)) * 4 + 7, rng.normal(size=(12, 30)) * 4 + 7
    presentations = test[SHOWN] + 2 * rng.normal(size=(len(SHOWN), 30))
    return train, train @ mixing + rng.normal(size=(50, 6)), presentations, test @ mixing


@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_equals_a_loop_over_units(penalty: float, monkeypatch: pytest.MonkeyPatch) -> None:
    train, units, presentations, test_units = data()
    monkeypatch.setattr("engine.metrics.reverse_voxels.HELD", 8 * 10 * 10 * 4)  # four systems at once
    found = top_voxels_block(train, units, presentations, SHOWN, test_units, top=10, penalty=penalty)
    z_train, z_test = ((values - train.mean(0)) / train.std(0, ddof=1) for values in (train, presentations))
    for j in range(6):
        y = (units[:, j] - units[:, j].mean()) / units[:, j].std(ddof=1)
        r = [abs(pearsonr(column, y)[0]) for column in z_train.T]
        best = np.argsort(r)[-10:]
        model = Ridge(penalty) if penalty else LinearRegression()
        guess = model.fit(z_train[:, best], y).predict(z_test[:, best])
        averages = [guess[s == SHOWN].mean() for s in range(12)]
        assert abs(found.value[0, j] - pearsonr(averages, test_units[:, j])[0]) < 1e-10
    assert len({tuple(np.argsort(-np.abs(np.corrcoef(train.T, u)[-1, :-1]))[:10]) for u in units.T}) == 6


def test_all_voxels_are_kept_where_there_are_fewer_than_top() -> None:
    train, units, presentations, test_units = data()
    found = top_voxels_block(train, units, presentations, SHOWN, test_units)
    guess, _ = average_presentations(LinearRegression().fit(train, units).predict(presentations), SHOWN)
    wanted = [pearsonr(*pair)[0] for pair in zip(guess.T, test_units.T, strict=True)]
    np.testing.assert_allclose(found.value[0], wanted, atol=1e-10)


def test_repetitions_are_averaged_whatever_their_order_and_number() -> None:
    predictions = np.array([[1.0], [2.0], [4.0], [8.0], [0.0]])
    means, stimuli = average_presentations(predictions, np.array([7, 3, 7, 3, 3]))
    np.testing.assert_array_equal(stimuli, [3, 7])
    np.testing.assert_allclose(means, [[10 / 3], [2.5]])


def test_constant_units_and_voxels_are_counted_and_bring_no_warning() -> None:
    train, units, presentations, test_units = data()
    plain = top_voxels_block(train, units, presentations, SHOWN, test_units, top=10)
    units[:, 2] = 0.1
    test_units[:, 3] = 0.1
    still = [np.column_stack([values, np.full(len(values), 5.0)]) for values in (train, presentations)]
    found = top_voxels_block(still[0], units, still[1], SHOWN, test_units, top=10)
    np.testing.assert_array_equal(np.isnan(found.value[0]), [False, False, True, True, False, False])
    np.testing.assert_allclose(found.value[0, [0, 1, 4, 5]], plain.value[0, [0, 1, 4, 5]], atol=1e-12)
    assert found.notes[0].startswith("1 of 6 units are constant")
    assert found.notes[1] == "1 of 31 voxels are constant and were never chosen"


def test_bad_input_is_refused() -> None:
    train, units, presentations, test_units = data()
    with pytest.raises(InputError, match="least squares needs 1 to 18 voxels"):
        top_voxels_block(train[:20], units[:20], presentations, SHOWN, test_units)
    with pytest.raises(InputError, match="presentations show stimuli 0 to 11"):
        top_voxels_block(train, units, presentations, SHOWN, test_units[:9])
    with pytest.raises(InputError, match="each of 36 presentations"):
        top_voxels_block(train, units, presentations, SHOWN[:4], test_units)
    train[0, 0] = np.nan
    with pytest.raises(InputError, match="training responses of some voxels are missing"):
        top_voxels_block(train, units, presentations, SHOWN, test_units)
