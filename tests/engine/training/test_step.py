import multiprocessing
import socket
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.errors import InputError
from engine.training.optimiser import Settings, make_optimiser
from engine.training.state import TrainState, initial_state
from engine.training.step import OWN_TERMS, make_step
from tests.engine.training.toy import ADAMW, batch, begin, run_on_devices


def line(params: Any, statistics: Any, batch: Any, key: jax.Array) -> Any:
    loss = jnp.mean((batch["image"] @ params["w"] - batch["target"]) ** 2)
    return loss, ({"drawn": jax.random.normal(key)}, jax.tree.map(lambda s: s + 1, statistics))


def started(settings: Settings, *, ema: float | None = None, frozen: bool = False) -> Any:
    params = {"w": np.linspace(-1, 1, 6, dtype=np.float32)}
    optimiser = make_optimiser(settings, params, batches=100, batches_per_epoch=10)
    state = initial_state(params, {"mean": np.zeros(2, np.float32)}, optimiser, seed=7, ema=ema is not None)
    return make_step(line, optimiser, frozen_statistics=frozen, ema=ema), state


def gradient(w: np.ndarray, seed: int) -> np.ndarray:
    """2/n X^T (X w - y), in float64."""
    x, y = (batch(seed)[name].astype(np.float64) for name in ("image", "target"))
    return 2 / len(x) * x.T @ (x @ w - y)


def test_a_step_of_linear_regression_by_hand() -> None:
    step, state = started(Settings("sgd", 0.05, momentum=0))
    w = np.asarray(state.params["w"], np.float64)
    state, terms, finite = step.run(state, step.place(batch(1)))
    wanted = w - 0.05 * gradient(w, 1)
    assert np.abs(np.asarray(state.params["w"]) - wanted).max() < 1e-6
    assert float(terms["gradient_norm"]) == pytest.approx(np.linalg.norm(gradient(w, 1)), rel=1e-5)
    assert float(terms["parameter_norm"]) == pytest.approx(np.linalg.norm(wanted), rel=1e-5)
    assert float(terms["learning_rate"]) == pytest.approx(0.05)
    assert float(terms["loss"]) == pytest.approx(np.mean((batch(1)["image"] @ w - batch(1)["target"]) ** 2), rel=1e-5)
    assert set(terms) == {*OWN_TERMS, "drawn"}
    assert bool(finite)
    assert int(state.step) == 1


def test_four_batches_of_8_are_one_of_32() -> None:
    quarter, state = started(Settings("sgd", 0.05, accumulate=4))
    whole, other = started(Settings("sgd", 0.05))
    for update in range(2):
        parts = [batch(4 * update + i) for i in range(4)]
        for part in parts:
            state, terms, _ = quarter.run(state, quarter.place(part))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        other, _, _ = whole.run(other, whole.place(joined))
    assert np.abs(np.asarray(state.params["w"]) - np.asarray(other.params["w"])).max() < 1e-6
    assert float(terms["learning_rate"]) == pytest.approx(0.05)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_moving_average_by_hand(accumulate: int) -> None:
    step, state = started(Settings("sgd", 0.05, accumulate=accumulate), ema=0.75)
    wanted = np.asarray(state.params["w"])
    for number in range(1, 5):
        state, _, _ = step.run(state, step.place(batch(number)))
        if number % accumulate == 0:
            wanted = 0.75 * wanted + 0.25 * np.asarray(state.params["w"])
        assert np.abs(np.asarray(state.ema["w"]) - wanted).max() < 1e-6


@pytest.mark.parametrize("frozen", [False, True])
def test_statistics_are_updated_or_frozen(frozen: bool) -> None:
    step, state = started(Settings("sgd", 0.05), frozen=frozen)
    for number in range(3):
        state, _, _ = step.run(state, step.place(batch(number)))
    assert np.array_equal(state.statistics["mean"], np.full(2, 0 if frozen else 3))


def test_randomness_is_a_function_of_seed_and_step_alone() -> None:
    step, state = started(Settings("sgd", 0.05))
    for number in range(3):
        state, terms, _ = step.run(state, step.place(batch(number)))
        wanted = jax.random.normal(jax.random.fold_in(jax.random.key(7), number))
        assert float(terms["drawn"]) == float(wanted)


@pytest.mark.parametrize("scale", [np.nan, 1e30])
def test_what_is_not_finite_is_told(scale: float) -> None:
    step, state = started(Settings("sgd", 0.05))
    bad = batch(0) | {"target": batch(0)["target"] * np.float32(scale)}
    _, _, finite = step.run(state, step.place(bad))
    assert not bool(finite)


def test_the_parameters_given_stay_usable() -> None:
    params = {"w": jnp.ones(6)}
    optimiser = make_optimiser(ADAMW, params, batches=10, batches_per_epoch=2)
    step = make_step(line, optimiser, frozen_statistics=True)
    step.run(initial_state(params, {}, optimiser, seed=0), step.place(batch(0)))
    assert np.array_equal(params["w"], np.ones(6))


def deep(params: Any, statistics: Any, batch: Any, key: jax.Array) -> Any:
    """Convolutions with much elementwise work between them, and a gradient with respect to the images inside."""

    def score(image: jax.Array) -> jax.Array:
        x = image
        for kernel in params:
            x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jnp.tanh(jax.nn.silu(x) / (1 + x**2)) * jnp.exp(-(x**2))
        return x.sum()

    loss = score(batch["image"]) + (jax.grad(score)(batch["image"]) ** 2).mean()
    return loss, ({}, statistics)


def test_rematerialisation_changes_memory_and_no_number() -> None:
    rng = np.random.default_rng(0)
    params = [rng.normal(size=(3, 3, 4, 4)).astype(np.float32) / 6 for _ in range(3)]
    images = rng.normal(size=(4, 32, 32, 4)).astype(np.float32)
    optimiser = make_optimiser(Settings("sgd", 0.1), params, batches=10, batches_per_epoch=2)
    found: dict[bool, TrainState] = {}
    memory: dict[bool, int] = {}
    for remat in (False, True):
        step = make_step(deep, optimiser, frozen_statistics=True, remat=remat)
        state = initial_state(params, {}, optimiser, seed=0)
        placed = step.place({"image": images})
        taken = step.takes(state, placed)
        assert taken is not None
        memory[remat] = taken
        found[remat], _, _ = step.run(state, placed)
    for one, two, start in zip(found[False].params, found[True].params, params, strict=True):
        assert np.abs(np.asarray(one) - np.asarray(two)).max() < 1e-4 * np.abs(np.asarray(one) - start).max()
    assert memory[True] < 0.75 * memory[False]


def test_eight_devices_give_the_numbers_of_one_also_in_two_processes(tmp_path: Path) -> None:
    # Processes of their own, because a process cannot change its number of devices.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.training.toy"])
    settings = Settings("sgd", 0.1, clip=1.0, accumulate=2)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    forms = {"one": (1, 0, None), "eight": (8, 0, None), "first": (4, 0, port), "second": (4, 1, port)}
    processes = [
        context.Process(target=run_on_devices, args=(tmp_path / f"{name}.npz", devices, settings, 4, number, port))
        for name, (devices, number, port) in forms.items()
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = {name: dict(np.load(tmp_path / f"{name}.npz")) for name in forms}
    for name in ("eight", "first", "second"):
        assert found[name].keys() == found["one"].keys()
        for each, wanted in found["one"].items():
            # Sums of 16 examples in another order.
            assert np.allclose(found[name][each], wanted, rtol=1e-5, atol=1e-6), (name, each)
    assert not np.array_equal(found["one"]["leaf0"], np.zeros(5))


def test_batches_that_cannot_be_split_are_refused() -> None:
    _, step, _ = begin(ADAMW, 10)
    with pytest.raises(InputError, match="'scale' of a batch has no axis"):
        step.place(batch(0) | {"scale": np.float32(1)})
    with pytest.raises(InputError, match="wanted a decay between 0 and 1"):
        begin(ADAMW, 10, ema=1.0)


def test_an_objective_may_not_use_the_names_of_the_step() -> None:
    def clash(params: Any, statistics: Any, batch: Any, key: jax.Array) -> Any:
        return params["w"].sum(), ({"loss": params["w"].sum()}, statistics)

    params = {"w": jnp.ones(6)}
    optimiser = make_optimiser(ADAMW, params, batches=10, batches_per_epoch=2)
    step = make_step(clash, optimiser, frozen_statistics=True)
    with pytest.raises(ValueError, match=r"\['loss'\] have names that the step uses"):
        step.run(initial_state(params, {}, optimiser, seed=0), step.place(batch(0)))
