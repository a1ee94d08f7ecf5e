"""Targets with missing responses, from files, over devices, and of several layers at once."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.solvers import elimination, missing, routes, targets
from engine.solvers.folds import Split
from engine.solvers.missing import columns, patterns
from engine.solvers.nested import NestedRidge
from engine.solvers.ridge import nested_ridge, nested_ridge_layers
from tests.engine.solvers.refits import GRID, assert_same, close, kfold, problem, refitted, shuffled

DESIGNS = pytest.mark.parametrize(
    "splits",
    [kfold(45, 3), shuffled(45, 3, 3), [Split(s.train, s.test, None) for s in shuffled(45, 2, 2)]],
    ids=["kfold", "shuffled", "leave-one-out"],
)


def alone(x: np.ndarray, y: np.ndarray, splits: list[Split], target: int) -> NestedRidge:
    """One target refitted on the stimuli it has responses to."""
    there = np.flatnonzero(np.isfinite(y[:, target]))

    def only(stimuli: np.ndarray) -> np.ndarray:
        return np.searchsorted(there, np.intersect1d(stimuli, there))

    own = [Split(only(s.train), only(s.test), s.validation and tuple(only(v) for v in s.validation)) for s in splits]
    return refitted(x[there], y[there][:, [target]], own, GRID)


@DESIGNS
def test_missing_responses_equal_refits_without_them(splits: list[Split]) -> None:
    x, y = problem(noise=3.0)
    y[5:12, 1] = y[5:12, 4] = np.nan
    y[30:34, 2] = np.nan
    found = nested_ridge(x @ x.T, y, splits, GRID, predictions=True)
    assert found.predictions is not None
    for target in range(6):
        wanted = alone(x, y, splits, target)
        close(found.pearson[:, [target]], wanted.pearson)
        close(found.selection[:, [target]], wanted.selection)
        np.testing.assert_array_equal(found.penalty_index[:, [target]], wanted.penalty_index)
        assert wanted.predictions is not None
        for split, guess, theirs in zip(splits, found.predictions, wanted.predictions, strict=True):
            there = np.isfinite(y[np.sort(split.test), target])
            close(guess[there, target], theirs[:, 0], rtol=1e-8)
            assert np.isnan(guess[~there, target]).all()


def test_a_penalty_is_shared_across_patterns_of_missing_responses() -> None:
    x, y = problem(noise=9.0)
    y[5:12, 1] = np.nan
    y[30:34, 2] = np.nan
    splits = kfold(45, 3)
    found = nested_ridge(x @ x.T, y, splits, GRID, groups=np.zeros(6))
    per_penalty = [nested_ridge(x @ x.T, y, splits, [penalty]).selection.mean(axis=1) for penalty in GRID]
    np.testing.assert_array_equal(found.penalty_index, np.repeat(np.argmax(per_penalty, axis=0)[:, None], 6, axis=1))


@settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    present=st.lists(st.sampled_from([0b111111, 0b111110, 0b101011]), min_size=1, max_size=9),
    read=st.integers(1, 200),
    used=st.sets(st.integers(0, 5), min_size=1),
)
def test_patterns_partition_the_targets(present: list[int], read: int, used: set[int]) -> None:
    mask = np.array([[bool(bits >> row & 1) for bits in present] for row in range(6)])
    responses = np.where(mask, np.arange(6.0)[:, None] + np.arange(len(present)), np.nan)
    stimuli = np.array(sorted(used))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(missing, "READ", read)
        assert np.concatenate([np.arange(len(present))[part] for part in columns(responses)]).tolist() == list(
            range(len(present))
        )
        found = patterns(responses, stimuli)
    assert sorted(np.concatenate([pattern.targets for pattern in found])) == list(range(len(present)))
    for pattern in found:
        for target, mean in zip(pattern.targets, pattern.means, strict=True):
            assert pattern.stimuli.tolist() == [s for s in stimuli if mask[s, target]]
            if len(pattern.stimuli):
                close(mean, responses[pattern.stimuli, target].mean())


@pytest.mark.parametrize("held", [True, False], ids=["held", "read again"])
@DESIGNS
def test_targets_are_read_from_a_file_in_blocks(
    splits: list[Split], held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = problem(targets=50)
    y[5:12, ::7] = np.nan
    plain = nested_ridge(x @ x.T, y, splits, GRID, predictions=True)
    with h5py.File(tmp_path / "responses.h5", "w") as file:
        stored = file.create_dataset("responses", data=y)
        monkeypatch.setattr(missing, "READ", 45 * 8 * 9)  # nine targets at a time
        monkeypatch.setattr(targets, "CPU_WIDTH", 8)
        if not held:
            monkeypatch.setattr(targets, "HELD", 0)
        assert_same(nested_ridge(x @ x.T, stored, splits, GRID, predictions=True), plain)


@pytest.mark.parametrize("layers", [1, 3, 5])
@DESIGNS
def test_layers_side_by_side(splits: list[Split], layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    y = problem()[1]
    kernels = np.stack([x @ x.T for x in (problem(seed=seed)[0] for seed in range(layers))])
    grid = np.stack([GRID * (1 + layer) for layer in range(layers)])
    after_each_other = nested_ridge_layers(kernels, y, splits, grid)
    for kernel, penalties, found in zip(kernels, grid, after_each_other, strict=True):
        assert_same(found, nested_ridge(kernel, y, splits, penalties))
    if splits[0].validation is not None and len(splits[0].validation) == 2:
        # What an accelerator does, two layers at a time.
        monkeypatch.setattr(routes, "layers_together", lambda *_: min(2, layers))
        elimination.factor_and_score.clear_cache()
        for found, wanted in zip(nested_ridge_layers(kernels, y, splits, grid), after_each_other, strict=True):
            assert_same(found, wanted)
        assert elimination.factor_and_score._cache_size() == 1


def test_layers_that_cannot_be_solved() -> None:
    _, y = problem()
    with pytest.raises(InputError, match=r"layers x stimuli x stimuli, got shape \(45, 45\)"):
        nested_ridge_layers(np.eye(45), y, kfold(45, 3), GRID)
    with pytest.raises(InputError, match=r"penalties for 2 layers or one list for all, got shape \(3, 6\)"):
        nested_ridge_layers(np.stack([np.eye(45)] * 2), y, kfold(45, 3), np.ones((3, 6)))


ON_DEVICES = """
import sys
import jax, numpy as np
from engine.solvers.fit import fit_kernel
from engine.solvers.ridge import nested_ridge, nested_ridge_features
from tests.engine.solvers.refits import GRID, assert_same, kfold, problem, shuffled

jax.config.update("jax_enable_x64", True)
assert jax.device_count() == int(sys.argv[1])
x, y = problem(targets=13)  # no multiple of the devices
y[4:9, 2] = np.nan
for splits in (kfold(45, 3), shuffled(45, 2, 3)):
    for solve, given in ((nested_ridge, x @ x.T), (nested_ridge_features, x[:, :9])):
        one, all_ = (
            solve(given, y, splits, GRID, predictions=True, devices=devices) for devices in (jax.devices()[:1], None)
        )
        assert_same(all_, one)
fits = [fit_kernel(x @ x.T, y[:, 3:], GRID, devices=devices) for devices in (jax.devices()[:1], None)]
np.testing.assert_allclose(fits[0].coefficients, fits[1].coefficients, rtol=1e-9, atol=1e-12)
print("equal")
"""


@pytest.mark.parametrize("devices", [4, 8])
def test_targets_spread_over_devices_equal_one_device(devices: int) -> None:
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[3]
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", ON_DEVICES, str(devices)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stderr
