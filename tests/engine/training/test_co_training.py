"""Co-training on simulated recordings, where it must work, and where its control must not."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.cka import Cka, compare_layer
from engine.training.batches import Order
from engine.training.co_training import Term, check, co_training, weight_at, with_readouts
from engine.training.heads import KEY, split_heads, with_head
from engine.training.neural_batches import NeuralData, neural_batches, neural_data
from engine.training.neural_terms import TERMS
from engine.training.partition import HeldOut, partition
from tests.engine.training.sessions import PIXELS, pictures, session

UNITS = 6


def forward(params: Any, statistics: Any, images: jax.Array, *, train: bool = False, take: Any) -> tuple[Any, Any]:
    """A linear layer and a readout; its statistics count the training passes."""
    assert set(params) == {"weight", "out"}  # no heads
    x = (images.astype(jnp.float32) / 74 - 1.7).reshape(len(images), PIXELS)
    layers = {"hidden": x @ params["weight"]}
    layers["logits"] = layers["hidden"] @ params["out"]
    return take(layers), {"passes": statistics["passes"] + 1} if train else statistics


def task(params: Any, statistics: Any, batch: Mapping[str, jax.Array], key: jax.Array) -> tuple[jax.Array, Any]:
    """Something to be learnt beside: the mean of each picture."""
    model, _ = split_heads(params)
    found, statistics = forward(model, statistics, batch["image"], train=True, take=lambda layers: layers["logits"])
    error = jnp.mean((found[:, 0] - batch["label"]) ** 2)
    return error, ({"error": error}, statistics)


def start() -> dict[str, jax.Array]:
    rng = np.random.default_rng(5)
    return {
        "weight": jnp.asarray(rng.normal(size=(PIXELS, UNITS)) / PIXELS**0.5, jnp.float32),
        "out": jnp.zeros((UNITS, 1), jnp.float32),
    }


def example_batch() -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    shown = pictures(16, 8)
    return {
        "image": jnp.asarray(shown[:8]),
        "label": jnp.asarray(rng.normal(size=8), jnp.float32),
        "neural_image": jnp.asarray(shown[8:]),
        "neural_response:V4": jnp.asarray(rng.normal(size=(8, 5)), jnp.float32),
        "neural_response:IT": jnp.asarray(rng.normal(size=(8, 4)), jnp.float32),
        "neural_step": jnp.full(8, 3, jnp.int32),
    }


def test_the_loss_is_the_tasks_and_the_weighted_terms() -> None:
    terms = [
        Term("hidden", "V4", "log_cka", 0.5),
        Term("logits", "IT", "ridge", 2.0, warm_up=4, ramp="linear"),
        Term("hidden", "IT", "similarity", 1.0, warm_up=4),
        Term("hidden", "V4", "linear", 3.0, warm_up=3),
    ]
    batch, statistics, key = example_batch(), {"passes": jnp.zeros(())}, jax.random.key(0)
    params = with_readouts(start(), terms, {"hidden": UNITS}, {"V4": 5})
    loss, (values, after) = jax.jit(co_training(task, forward, terms))(params, statistics, batch, key)
    layers, _ = forward(start(), statistics, batch["neural_image"], take=dict)
    readouts = params[KEY]

    @jax.jit
    def one_by_one() -> dict[str, jax.Array]:
        values = {"error": task(start(), statistics, batch, key)[0]}
        for term in terms:
            readout = [readouts[term.name]] if term.kind == "linear" else []
            values[term.name] = TERMS[term.kind](layers[term.layer], batch[f"neural_response:{term.region}"], *readout)
        return values

    wanted = one_by_one()
    # In batch 3 (the fourth): the ramp over 4 is at 3/4, the step over 4 still off, that over 3 just on.
    wanted["neural"] = (
        0.5 * wanted["log_cka:hidden:V4"] + 1.5 * wanted["ridge:logits:IT"] + 3 * wanted["linear:hidden:V4"]
    )
    assert set(values) == set(wanted)
    for name, value in wanted.items():
        assert abs(float(values[name]) - float(value)) < 1e-5, name
    assert abs(float(loss) - float(wanted["error"] + wanted["neural"])) < 1e-5
    assert float(after["passes"]) == 1  # the neural pictures leave the statistics alone


@pytest.mark.parametrize(("ramp", "wanted"), [("step", [0, 0, 0, 0, 2, 2, 2]), ("linear", [0, 0.5, 1, 1.5, 2, 2, 2])])
def test_warm_up(ramp: str, wanted: list[float]) -> None:
    term = Term("hidden", "V4", weight=2.0, warm_up=4, ramp=ramp)
    assert [float(weight_at(term, step)) for step in range(7)] == wanted
    assert float(weight_at(term._replace(warm_up=0), 0)) == 2


def test_a_long_step_ends_at_the_right_batch() -> None:
    term = Term("hidden", "V4", warm_up=2500)
    assert [float(weight_at(term, step)) for step in (2498, 2499, 2500, 2501, 10**6)] == [0, 0, 1, 1, 1]


def test_names_that_do_not_exist_are_refused_with_the_nearest() -> None:
    layers, regions = ["hidden", "logits"], ["V4", "IT"]
    term = Term("hidden", "V4")
    check([term, Term("logits", "IT", "linear", 2.0, 10, "linear")], layers, regions)
    for given, message in (
        ([], "without a term"),
        ([term._replace(layer="hiden")], "unknown layer 'hiden'; did you mean hidden"),
        ([term._replace(region="V5")], "unknown region 'V5'; did you mean V4"),
        ([term._replace(kind="cka")], "did you mean log_cka"),
        ([term._replace(ramp="lin")], "did you mean linear"),
        ([term._replace(weight=0.0)], "wanted a positive number"),
        ([term._replace(weight=float("nan"))], "wanted a positive number"),
        ([term._replace(warm_up=-1)], "0 or more"),
        ([term, term], "given twice"),
    ):
        with pytest.raises(InputError, match=message):
            check(given, layers, regions)


def test_heads_stand_beside_the_model() -> None:
    params = with_head(with_head({"conv": 1}, "first", 2), "second", 3)
    assert split_heads(params) == ({"conv": 1}, {"first": 2, "second": 3})
    assert split_heads({"conv": 1}) == ({"conv": 1}, {})
    with pytest.raises(ValueError, match="'first' already"):
        with_head(params, "first", 4)


SHOWN = [pictures(160, 1), pictures(120, 2), pictures(100, 3)]
SESSIONS = [session(str(n + 1), "ann", SHOWN[n], 12) for n in range(3)]
PARTS = partition(SESSIONS, HeldOut(0.25, where={"session": ["3"]}), SHOWN)


def hidden(params: Any, shown: np.ndarray) -> np.ndarray:
    return (shown.reshape(len(shown), PIXELS) / 74 - 1.7) @ np.asarray(params["weight"], np.float64)


def cka(params: Any, kind: str) -> float:
    """Unbiased CKA with recorded responses: of the first trained session, or of the one that was held out."""
    part = PARTS.trained[0] if kind == "trained" else PARTS.held_out[0]
    x = hidden(params, SHOWN[part.recording][part.stimuli])
    x -= x.mean(0)
    y = SESSIONS[part.recording].responses[np.ix_(part.stimuli, part.neuroids)]
    return float(compare_layer(Summary(x @ x.T, x.sum(1), np.zeros(len(x)), 0.0, UNITS), y, Cka())[0])


@functools.cache
def step_of(kind: str) -> tuple[Term, Any, Callable[..., Any]]:
    """A term, an optimiser, and a compiled step."""
    term, optimiser = Term("hidden", "V4", kind), optax.adam(2e-2)
    objective = co_training(task, forward, [term])

    @jax.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        (_, (values, _)), gradient = jax.value_and_grad(objective, has_aux=True)(
            params, {"passes": jnp.zeros(())}, batch, jax.random.key(0)
        )
        change, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, change), state, values[term.name]

    return term, optimiser, step


def trained_on(data: NeuralData, kind: str, steps: int = 80) -> tuple[Any, list[float]]:
    """The model after some steps of Adam, and the neural term on the way."""
    term, optimiser, step = step_of(kind)
    params = with_readouts(start(), [term], {"hidden": UNITS}, {"V4": data.responses["V4"].shape[1]})
    rng, state, course = np.random.default_rng(1), jax.jit(optimiser.init)(params), []
    batches = neural_batches(data, Order(batch=30, seed=0))
    for _ in range(steps):
        shown = rng.integers(0, 256, (16, *SHOWN[0].shape[1:]), np.uint8)
        label = shown.reshape(16, -1).mean(1).astype(np.float32) / 10 - 12.75
        params, state, value = step(params, state, {"image": shown, "label": label} | next(batches))
        course.append(float(value))
    return split_heads(params)[0], course


@pytest.mark.parametrize("kind", TERMS)
def test_training_brings_the_layer_closer_to_neurons_and_pictures_it_never_saw(kind: str) -> None:
    before = start()
    after, course = trained_on(neural_data(SESSIONS, SHOWN, PARTS.trained, ["V4"]), kind)
    assert np.mean(course[-10:]) < np.mean(course[:10]) - 0.1
    assert cka(after, "trained") > cka(before, "trained") + 0.3
    assert cka(after, "held out") > cka(before, "held out") + 0.3


@pytest.mark.parametrize("control", ["shuffled", "surrogate"])
def test_controls_train_as_well_and_bring_it_no_closer(control: str) -> None:
    # The term falls here too, because batches repeat and CKA of 30 stimuli is biased: only what is held out tells.
    before = start()
    after, course = trained_on(neural_data(SESSIONS, SHOWN, PARTS.trained, ["V4"], control), "log_cka")
    assert np.mean(course[-10:]) < np.mean(course[:10]) - 0.1
    assert cka(after, "held out") < cka(before, "held out") + 0.1
