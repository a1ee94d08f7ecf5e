from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.errors import InputError
from engine.training.optimiser import Settings, group_factors, make_optimiser, published_schedule
from tests.engine.training.toy import parameters

DECAYED = {"first": {"weight": True, "bias": False}, "last": {"weight": False}}


def gradients(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    return [jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32), parameters()) for _ in range(count)]


def updated(settings: Settings, given: list[dict[str, Any]], batches: int = 40) -> Any:
    """Parameters after the optimiser saw these gradients."""
    params = jax.tree.map(jnp.asarray, parameters())
    optimiser = make_optimiser(settings, params, batches=batches, batches_per_epoch=2, decayed=DECAYED)
    state, update = optimiser.transform.init(params), jax.jit(optimiser.transform.update)
    for gradient in given:
        change, state = update(gradient, state, params)
        params = jax.tree.map(jnp.add, params, change)
    return params


def furthest(a: Any, b: Any) -> float:
    return max(
        float(np.abs(np.asarray(x) - np.asarray(y)).max()) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)
    )


def by_torch(settings: Settings, given: list[dict[str, Any]], rates: list[float]) -> Any:
    torch = pytest.importorskip("torch")
    tensors = jax.tree.map(lambda p: torch.nn.Parameter(torch.tensor(p)), parameters())
    kernel, rest = [tensors["first"]["weight"]], [tensors["first"]["bias"], tensors["last"]["weight"]]
    if settings.method == "sgd":
        optimiser = torch.optim.SGD([*kernel, *rest], lr=1, momentum=settings.momentum, nesterov=True)
    else:
        groups = [{"params": kernel, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=1)
    for gradient, rate in zip(given, rates, strict=True):
        for tensor, value in zip(*map(jax.tree.leaves, (tensors, gradient)), strict=True):
            tensor.grad = torch.tensor(value)
        if settings.clip is not None:
            torch.nn.utils.clip_grad_norm_([*kernel, *rest], settings.clip)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
    return jax.tree.map(lambda p: p.detach().numpy(), tensors)


@pytest.mark.parametrize(
    "settings",
    [
        Settings("sgd", 0.1, warmup=4),
        Settings("sgd", 0.1, "published"),
        Settings("adamw", 0.01, "cosine", warmup=3, weight_decay=0.3),
        Settings("sgd", 0.1, clip=2.0),
        Settings("adamw", 0.01, weight_decay=0.1, clip=0.5),
    ],
)
def test_updates_equal_pytorch(settings: Settings) -> None:
    given = gradients(12)
    optimiser = make_optimiser(settings, parameters(), batches=40, batches_per_epoch=2)
    rates = [float(optimiser.learning_rate(update)) for update in range(12)]
    wanted = by_torch(settings, given, rates)
    assert furthest(updated(settings, given), wanted) < 2e-6
    assert furthest(wanted, parameters()) > 0.01


def test_nesterov_by_hand() -> None:
    # m1 = g1, w1 = w0 - a (g1 + 0.9 m1); m2 = g2 + 0.9 m1, w2 = w1 - a (g2 + 0.9 m2)
    one, two = gradients(2)
    wanted = jax.tree.map(lambda w, g, h: w - 0.1 * 1.9 * g - 0.1 * (h + 0.9 * (h + 0.9 * g)), parameters(), one, two)
    assert furthest(updated(Settings("sgd", 0.1), [one, two]), wanted) < 1e-6


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [
        (0, 0.0),
        (1, 0.2),
        (2.5, 0.5),
        (5, 1),
        (29.9, 1),
        (30, 0.1),
        (59.9, 0.1),
        (60, 0.01),
        (79.9, 0.01),
        (80, 1e-3),
        (200, 1e-3),
    ],
)
def test_the_published_schedule_by_hand(epoch: float, factor: float) -> None:
    assert float(published_schedule(0.7, 10)(round(epoch * 10))) == pytest.approx(0.7 * factor, rel=1e-6)


def test_cosine_and_warm_up_by_hand_counted_in_updates() -> None:
    settings = Settings("sgd", 0.4, "cosine", warmup=10, accumulate=2)
    rate = make_optimiser(settings, parameters(), batches=220, batches_per_epoch=2).learning_rate
    found = [float(rate(update)) for update in (0, 5, 10, 60, 85, 110)]
    assert found == pytest.approx([0, 0.2, 0.4, 0.2, 0.2 * (1 - np.sqrt(0.5)), 0], abs=1e-7)
    flat = make_optimiser(Settings("sgd", 0.4, warmup=10), parameters(), batches=100, batches_per_epoch=2).learning_rate
    assert [float(flat(update)) for update in (0, 5, 10, 99)] == pytest.approx([0, 0.2, 0.4, 0.4])


def test_accumulated_gradients_are_their_mean() -> None:
    given = gradients(8)
    means = [jax.tree.map(lambda *parts: np.mean(parts, axis=0), *given[i : i + 4]) for i in (0, 4)]
    found = updated(Settings("adamw", 0.1, clip=1.0, accumulate=4), given)
    assert furthest(found, updated(Settings("adamw", 0.1, clip=1.0), means)) < 1e-6
    # Within a group of four nothing moves.
    assert furthest(updated(Settings("adamw", 0.1, accumulate=4), given[:3]), parameters()) == 0


def test_groups_scale_their_updates_and_frozen_ones_keep_every_bit() -> None:
    given = gradients(3)
    multipliers = {"first.bias": 0.25, "last": 0}
    found = updated(Settings("adamw", 0.1, weight_decay=0.1, multipliers=multipliers), given)
    plain = updated(Settings("adamw", 0.1, weight_decay=0.1), given)
    assert np.array_equal(found["last"]["weight"], parameters()["last"]["weight"])
    assert np.array_equal(found["first"]["weight"], plain["first"]["weight"])
    # Biases start at 0 and Adam's direction does not depend on where they are.
    assert np.allclose(found["first"]["bias"], plain["first"]["bias"] / 4, rtol=1e-5, atol=0)


def test_clipping_leaves_frozen_parameters_out_of_the_norm() -> None:
    (given,) = gradients(1)
    found = updated(Settings("sgd", 0.1, momentum=0, clip=0.5, multipliers={"first": 0}), [given])
    wanted = parameters()["last"]["weight"] - 0.1 * 0.5 * given["last"]["weight"] / np.linalg.norm(
        given["last"]["weight"]
    )
    assert np.allclose(found["last"]["weight"], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("multipliers", "wanted"),
    [
        ({}, [1, 1, 1]),
        ({"*": 0, "last": 1}, [0, 0, 1]),
        ({"last": 1, "*": 0.5}, [0.5, 0.5, 0.5]),
        ({"*.bias": 0, "f*.weight": 3}, [0, 3, 1]),
        ({"first.weight": 2}, [1, 2, 1]),
    ],
)
def test_patterns_over_paths(multipliers: Mapping[str, float], wanted: list[float]) -> None:
    assert jax.tree.leaves(group_factors(multipliers, parameters())) == wanted


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(multipliers={"firts": 1}), "'firts'; did you mean first"),
        (Settings(multipliers={"last": -1}), "'last' is -1"),
        (Settings(multipliers={"*": 0}), "every parameter is frozen"),
        (Settings(learning_rate=float("nan")), "learning_rate=nan: wanted a positive number"),
        (Settings(learning_rate=0), "learning_rate=0: wanted a positive number"),
        (Settings(method="adam"), "did you mean adamw"),  # type: ignore[arg-type]  # wrong on purpose
        (Settings(schedule="cosin"), "did you mean cosine"),  # type: ignore[arg-type]  # wrong on purpose
        (Settings(momentum=1), "momentum=1"),
        (Settings(clip=0), "clip=0: wanted a positive number"),
        (Settings(accumulate=50), "accumulate=50: wanted 1 to the 40 batches"),
        (Settings(weight_decay=0.1), "a term of the loss"),
        (Settings(schedule="cosine", warmup=40), "fewer than the 40 updates"),
        (Settings(schedule="published", warmup=1), "its own, of 5 epochs"),
    ],
)
def test_settings_that_cannot_be_used(settings: Settings, told: str) -> None:
    with pytest.raises(InputError, match=told):
        make_optimiser(settings, parameters(), batches=40, batches_per_epoch=2)
