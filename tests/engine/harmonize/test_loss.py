from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from engine.errors import InputError
from engine.harmonize.loss import (
    FROZEN,
    Harmonizer,
    half_squares,
    harmonizer,
    smoothed_cross_entropy,
    with_original,
)
from engine.harmonize.saliency import input_gradient
from engine.training.heads import KEY as KEY_OF_HEADS
from engine.training.optimiser import group_factors
from tests.engine.harmonize.by_hand import cut, halved
from tests.engine.harmonize.tiny import CLASSES, QUICK, forward, parameters, torch_logits

RNG = np.random.default_rng(0)
PARAMS, STATISTICS = parameters()
DECAYED = {name: {key: key == "kernel" for key in part} for name, part in PARAMS.items()}
KEY = np.zeros(2, np.uint32)
BATCH = {
    "image": RNG.normal(size=(5, 16, 14, 3)),
    "label": RNG.integers(0, CLASSES, 5),
    "map": RNG.uniform(size=(5, 16, 14)),
    "has_map": np.array([1.0, 0.0, 1.0, 1.0, 0.0]),
}
SETTINGS = Harmonizer(map_weight=3.0, weight_decay=0.01)


def never(images: jax.Array) -> jax.Array:
    raise AssertionError("images are already normalised")


@cache
def compiled(settings: Harmonizer) -> Any:
    objective = harmonizer(forward, "logits", DECAYED, never, settings)
    return jax.jit(jax.value_and_grad(objective, has_aux=True), compiler_options=QUICK)


def value_and_gradient(settings: Harmonizer, batch: dict[str, np.ndarray] = BATCH) -> tuple[Any, Any]:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, compiled(settings)(PARAMS, STATISTICS, batch, KEY))


def in_pytorch(settings: Harmonizer) -> tuple[dict[str, float], dict[str, Any], dict[str, Any]]:
    """Loss and terms, gradients and new statistics, as the published code computes them, by double backward."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    params = jax.tree.map(lambda x: torch.tensor(x, requires_grad=True), PARAMS)
    statistics = jax.tree.map(torch.tensor, STATISTICS)
    images, human, has_map = (torch.tensor(BATCH[name]) for name in ("image", "map", "has_map"))
    labels = torch.tensor(BATCH["label"])
    images.requires_grad_()
    logits = torch_logits(params, statistics, images, train=settings.train)
    answer = (logits * F.one_hot(labels, CLASSES)).sum()
    saliency = torch.autograd.grad(answer, images, create_graph=True)[0].mean(-1)

    def cut(maps: Any) -> Any:
        centred = maps - maps.mean((1, 2), keepdim=True)
        return F.relu(centred / (maps.std((1, 2), correction=0, keepdim=True) + 1e-5))

    training = settings.parity == "training"
    saliency, human = cut(saliency), cut(human)
    human = human / (human.amax((1, 2), keepdim=True) + (1e-4 if training else 1e-6))
    human = human * (saliency.amax((1, 2), keepdim=True).detach() + (0 if training else 1e-6))
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=torch.float64)
    kernel = (line[:, None] * line)[None, None] / 256
    squares = []
    for _ in range(settings.levels + training):
        squares.append((saliency - human).square().mean((1, 2)))
        sides = saliency.shape[1:]
        total = [max((-(-n // 2) - 1) * 2 + 5 - n, 0) for n in sides]
        padding = [part for n in reversed(total) for part in (n // 2, n - n // 2)]
        saliency, human = (F.conv2d(F.pad(m[:, None], padding), kernel, stride=2)[:, 0] for m in (saliency, human))
    errors = torch.stack(squares).mean(0) * has_map
    terms = {
        "map": errors.mean() if settings.parity else errors.sum() / has_map.sum(),
        "cross_entropy": F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing),
        "weights": sum(part["kernel"].square().sum() / 2 for part in params.values() if "kernel" in part),
    }
    terms["loss"] = (
        terms["cross_entropy"] + settings.weight_decay * terms["weights"] + settings.map_weight * terms["map"]
    )
    terms["loss"].backward()
    gradients = jax.tree.map(lambda x: x.grad.numpy(), params)
    return {name: term.item() for name, term in terms.items()}, gradients, jax.tree.map(lambda x: x.numpy(), statistics)


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        SETTINGS._replace(parity="released"),
        SETTINGS._replace(parity="training"),
        SETTINGS._replace(levels=2, train=False, label_smoothing=0.0),
        SETTINGS._replace(levels=2, train=False, mapped=4),
        SETTINGS._replace(levels=2, train=False, mapped=3, parity="released"),
    ],
    ids=["default", "released", "training", "frozen statistics", "few maps", "few maps, released"],
)
def test_loss_terms_gradient_and_statistics_equal_a_double_backward_in_pytorch(settings: Harmonizer) -> None:
    wanted, gradients, statistics = in_pytorch(settings)
    (loss, (terms, updated)), found = value_and_gradient(settings)
    assert abs(loss - wanted.pop("loss")) < 1e-12
    for name, value in wanted.items():
        assert abs(terms[name] - value) < 1e-12, name
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), found, gradients)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), updated, statistics)


def test_the_gradient_equals_finite_differences_of_terms_in_numpy() -> None:
    """The human maps' scale is held still: no gradient may pass there."""
    chosen = np.flatnonzero(BATCH["has_map"])
    smoothed = 0.9 * np.eye(CLASSES)[BATCH["label"]] + 0.1 / CLASSES

    @partial(jax.jit, compiler_options=QUICK)
    def saliency_and_logits(params: Any) -> tuple[jax.Array, jax.Array]:
        def logits(images: jax.Array) -> tuple[jax.Array, Any]:
            return forward(params, STATISTICS, images, train=True, take=lambda layers: layers["logits"])

        gradient, answers, _ = input_gradient(logits, jnp.asarray(BATCH["image"]), BATCH["label"])
        return gradient.mean(-1), answers

    def loss(params: Any, maxima: list[float] | None) -> tuple[float, list[float]]:
        maps, logits = (np.asarray(part) for part in saliency_and_logits(params))
        maxima = [cut(maps[i]).max() + 1e-6 for i in chosen] if maxima is None else maxima
        squares = []
        for i, maximum in zip(chosen, maxima, strict=True):
            human = cut(BATCH["map"][i])
            level = cut(maps[i]) - human / (human.max() + 1e-6) * maximum
            for _ in range(5):
                squares.append((level**2).mean())
                level = halved(level)
        entropy = -(smoothed * (logits - np.log(np.exp(logits).sum(1, keepdims=True)))).sum(1).mean()
        decay = sum((part["kernel"] ** 2).sum() for part in params.values() if "kernel" in part) / 2
        return entropy + 0.01 * decay + 3 * np.mean(squares), maxima

    def moved(direction: Any, step: float) -> Any:
        return jax.tree.map(lambda x, d: x + step * d, PARAMS, direction)

    (found, _), gradient = value_and_gradient(SETTINGS)
    rng, step = np.random.default_rng(1), 1e-6
    with jax.enable_x64(True):
        value, maxima = loss(PARAMS, None)
        assert abs(found - value) < 1e-12
        for _ in range(3):
            direction = jax.tree.map(lambda x: rng.normal(size=x.shape), PARAMS)
            ahead, behind = (loss(moved(direction, sign * step), maxima)[0] for sign in (1, -1))
            slope = sum((g * d).sum() for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
            # Rounding of about 1e-15 over a step of 1e-6, and third derivatives times its square.
            assert abs((ahead - behind) / (2 * step) - slope) < 1e-7 * max(1, abs(slope))


def test_cross_entropy_and_squares_in_numpy() -> None:
    logits, labels = RNG.normal(size=(4, 7)), np.array([0, 3, 6, 3])
    smoothed = 0.9 * np.eye(7)[labels] + 0.1 / 7
    wanted = -(smoothed * np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))).sum(1).mean()
    assert abs(float(smoothed_cross_entropy(jnp.asarray(logits, jnp.float32), labels, 0.1)) - wanted) < 1e-6
    assert jnp.isnan(smoothed_cross_entropy(jnp.asarray(logits, jnp.float32), np.array([0, 3, 7, 3]), 0.1))
    assert half_squares({"a": jnp.array([3.0, 4.0]), "b": jnp.array(2.0)}, {"a": True, "b": False}) == 12.5


def test_images_without_a_map_count_only_in_the_published_mean() -> None:
    terms = {parity: value_and_gradient(SETTINGS._replace(parity=parity))[0][1][0] for parity in (None, "released")}
    assert abs(terms[None]["map"] * 3 / 5 - terms["released"]["map"]) < 1e-12
    blank = {**BATCH, "map": np.where(BATCH["has_map"][:, None, None] > 0, BATCH["map"], np.nan)}
    (loss, _), gradient = value_and_gradient(SETTINGS, blank)
    (same, _), wanted = value_and_gradient(SETTINGS)
    assert loss == same
    jax.tree.map(np.testing.assert_array_equal, gradient, wanted)
    (_, (none, _)), gradient = value_and_gradient(SETTINGS, {**BATCH, "has_map": np.zeros(5)})
    assert none["map"] == 0
    assert all(np.isfinite(part).all() for part in jax.tree.leaves(gradient))


def test_more_maps_than_said_are_not_passed_over() -> None:
    settings = SETTINGS._replace(levels=2, train=False, mapped=4)
    (loss, (terms, _)), _ = value_and_gradient(settings, {**BATCH, "has_map": np.ones(5)})
    assert np.isnan(terms["map"])
    assert np.isnan(loss)


def test_without_weight_the_map_is_neither_needed_nor_computed() -> None:
    plain = {name: BATCH[name] for name in ("image", "label")}
    objective = harmonizer(forward, "logits", DECAYED, never, SETTINGS._replace(map_weight=0.0))
    with jax.enable_x64(True):
        loss, (terms, _) = jax.tree.map(
            np.asarray, jax.jit(objective, compiler_options=QUICK)(PARAMS, STATISTICS, plain, KEY)
        )
    assert "map" not in terms
    assert abs(loss - terms["cross_entropy"] - 0.01 * terms["weights"]) < 1e-14


def test_images_of_bytes_are_normalised_and_all_is_float32() -> None:
    pixels = RNG.integers(0, 256, (5, 16, 14, 3), np.uint8)
    ready = ((pixels - 120.0) / 60).astype(np.float32)
    given = jax.tree.map(np.float32, (PARAMS, STATISTICS))
    batch = {name: values.astype(np.int32 if name == "label" else np.float32) for name, values in BATCH.items()}
    objective = harmonizer(forward, "logits", DECAYED, lambda x: (x.astype(jnp.float32) - 120) / 60, SETTINGS)
    loss, (terms, updated) = jax.jit(objective, compiler_options=QUICK)(*given, {**batch, "image": pixels}, KEY)
    assert {part.dtype for part in jax.tree.leaves((loss, terms, updated))} == {jnp.dtype(jnp.float32)}
    (wanted, (in_float64, _)), _ = value_and_gradient(SETTINGS, {**BATCH, "image": ready.astype(float)})
    assert abs(loss - wanted) < 1e-4 * wanted
    assert terms["accuracy"] == np.float32(in_float64["accuracy"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"parity": "relesed"}, "did you mean released"),
        ({"levels": 0}, "levels=0"),
        ({"mapped": 0}, "mapped=0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1"),
        ({"map_weight": -1.0}, "map_weight=-1"),
        ({"weight_decay": float("nan")}, "weight_decay=nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        harmonizer(forward, "logits", DECAYED, never, SETTINGS._replace(**changed))


def test_maps_unlike_the_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"maps of shape \(5, 8, 7\)"):
        value_and_gradient(SETTINGS, {**BATCH, "map": BATCH["map"][:, ::2, ::2]})
    with pytest.raises(InputError, match="no 'has_map'"):
        value_and_gradient(SETTINGS, {name: BATCH[name] for name in ("image", "label", "map")})


def test_the_divergence_is_that_of_the_answers_before_and_starts_at_nothing() -> None:
    settings = SETTINGS._replace(preserve=2.0, train=False, map_weight=0)
    params = with_original(PARAMS, STATISTICS)
    decayed = {**DECAYED, KEY_OF_HEADS: jax.tree.map(lambda _: False, params[KEY_OF_HEADS])}
    other, _ = parameters(seed=1)
    with jax.enable_x64(True):
        objective = jax.jit(harmonizer(forward, "logits", decayed, never, settings), compiler_options=QUICK)
        _, (terms, _) = objective(params, STATISTICS, BATCH, KEY)
        assert abs(terms["divergence"]) < 1e-14
        moved = {**params, **other}
        loss, (terms, _) = objective(moved, STATISTICS, BATCH, KEY)
        logits = [np.asarray(forward(each, STATISTICS, BATCH["image"])[0]["logits"]) for each in (PARAMS, other)]
    before, now = (softmax(each, axis=1) for each in logits)
    wanted = entropy(before, now, axis=1).mean()
    np.testing.assert_allclose(terms["divergence"], wanted, rtol=1e-12)
    rest = float(terms["cross_entropy"]) + settings.weight_decay * float(terms["weights"])
    np.testing.assert_allclose(loss, rest + 2 * wanted, rtol=1e-12)


def test_the_copy_from_before_is_not_trained() -> None:
    params = with_original(PARAMS, STATISTICS)
    factors = group_factors(FROZEN, params)
    assert set(jax.tree.leaves(factors[KEY_OF_HEADS])) == {0.0}
    assert set(jax.tree.leaves({name: factors[name] for name in PARAMS})) == {1.0}
