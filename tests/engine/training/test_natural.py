"""The natural gradient against dense matrices in NumPy, and what it promises of the answers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from engine.errors import InputError
from engine.training import natural
from engine.training.natural import Spared, conjugate_gradients, fisher_of, natural_step
from engine.training.optimiser import Settings, make_optimiser
from engine.training.state import initial_state
from engine.training.step import make_step

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(8, 4))
WEIGHTS = {"first": RNG.normal(size=(4, 3)), "second": RNG.normal(size=(3, 5))}
ALL = {"first": True, "second": True}


def _answers(params, images):
    return jnp.tanh(images @ params["first"]) @ params["second"]


def _chunks():
    return jnp.asarray(IMAGES).reshape(2, 4, 4)


def _dense() -> tuple[np.ndarray, np.ndarray]:
    """F written out from a Jacobian by central differences, and the logits."""
    flat = np.concatenate([WEIGHTS["first"].ravel(), WEIGHTS["second"].ravel()])

    def logits(values):
        return np.tanh(IMAGES @ values[:12].reshape(4, 3)) @ values[12:].reshape(3, 5)

    steps = 1e-6 * np.eye(len(flat))
    jacobian = np.stack([(logits(flat + each) - logits(flat - each)) / 2e-6 for each in steps], axis=-1)
    p = softmax(logits(flat), axis=-1)
    inner = np.stack([np.diag(row) - np.outer(row, row) for row in p])
    return np.einsum("ncp,ncd,ndq->pq", jacobian, inner, jacobian) / len(IMAGES), logits(flat)


def _flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(tree["first"]), np.ravel(tree["second"])])


def _tree(values: np.ndarray) -> dict[str, jax.Array]:
    return {"first": jnp.asarray(values[:12].reshape(4, 3)), "second": jnp.asarray(values[12:].reshape(3, 5))}


def test_products_are_those_of_the_matrix_written_out() -> None:
    with jax.enable_x64(True):
        vector = RNG.normal(size=27)
        fisher, matrix = fisher_of(_answers, jax.tree.map(jnp.asarray, WEIGHTS), _chunks()), _dense()[0]
        # 1e-8: the Jacobian on the other side is by central differences
        np.testing.assert_allclose(_flat(fisher.product(_tree(vector))), matrix @ vector, atol=1e-8)
        np.testing.assert_allclose(fisher.square(_tree(vector)), vector @ matrix @ vector, atol=1e-8)


def test_conjugate_gradients_solve_what_numpy_solves_and_stop_by_themselves() -> None:
    with jax.enable_x64(True):
        root = RNG.normal(size=(6, 6))
        matrix, wanted = root @ root.T + np.eye(6), RNG.normal(size=6)
        for rounds in (6, 40):  # exact after as many rounds as there are unknowns; further ones must not divide 0 by 0
            found = conjugate_gradients(lambda v: jnp.asarray(matrix) @ v, jnp.asarray(wanted), rounds)
            np.testing.assert_allclose(found, np.linalg.solve(matrix, wanted), rtol=1e-9)


def test_the_step_is_the_damped_inverse_of_the_gradient_of_the_length_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(natural, "ROUNDS", 60)  # enough to solve 27 unknowns
    with jax.enable_x64(True):
        gradient = RNG.normal(size=27)
        step = natural_step(_answers, jax.tree.map(jnp.asarray, WEIGHTS), _chunks(), _tree(gradient), ALL, 1e-3)
        matrix, _ = _dense()
        unit = gradient / np.linalg.norm(gradient)
        damped = matrix + natural.DAMPING * (unit @ matrix @ unit) * np.eye(27)
        found = -np.linalg.solve(damped, unit)
        wanted = found * np.sqrt(2e-3 / (found @ damped @ found))
        # 1e-6: the Jacobian on the other side is by central differences, and the damped system multiplies its error
        np.testing.assert_allclose(_flat(step), wanted, rtol=1e-6, atol=1e-8)


def test_the_answers_move_by_the_divergence_asked_for_whatever_the_length_of_the_gradient(monkeypatch) -> None:
    monkeypatch.setattr(natural, "DAMPING", 1e-6)  # damping shortens the step
    with jax.enable_x64(True):
        params, before = jax.tree.map(jnp.asarray, WEIGHTS), _dense()[1]
        for length in (1e-12, 1.0, 1e9):
            step = natural_step(_answers, params, _chunks(), _tree(length * np.cos(np.arange(27))), ALL, 1e-11)
            now = np.asarray(_answers(optax.apply_updates(params, step), jnp.asarray(IMAGES)))
            moved = entropy(softmax(before, axis=-1), np.exp(log_softmax(now, axis=-1)), axis=-1).mean()
            # a hundredth: what damping and the third order leave
            assert moved == pytest.approx(1e-11, rel=1e-2)


def test_frozen_parameters_stay_and_a_gradient_of_zero_changes_nothing() -> None:
    params = jax.tree.map(jnp.asarray, WEIGHTS)
    gradient = _tree(np.cos(np.arange(27)))
    step = natural_step(_answers, params, _chunks(), gradient, {"first": False, "second": True}, 1e-3)
    assert not np.any(step["first"])
    assert np.any(step["second"])
    still = natural_step(_answers, params, _chunks(), jax.tree.map(jnp.zeros_like, params), ALL, 1e-3)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(still))


def test_what_the_answers_do_not_show_is_trained_and_the_answers_stay() -> None:
    """Logits see one of two parameters; the loss wants both moved: the hidden one moves, the seen one hardly."""

    def objective(params, statistics, batch, key):
        loss = jnp.square(params["seen"] - jnp.arange(3)).sum() + jnp.square(params["hidden"] - 1).sum()
        return loss, ({}, statistics)

    def answers(params, statistics, images):
        return images * params["seen"]

    params = {"seen": jnp.zeros(3), "hidden": jnp.zeros(())}
    settings = Settings(method="natural", learning_rate=1e-5, momentum=0.0, accumulate=2)
    rule = make_optimiser(settings, params, batches=10, batches_per_epoch=10)
    step = make_step(objective, rule, frozen_statistics=True, spared=Spared(answers, np.ones((2, 1), np.float32)))
    state = initial_state(params, {}, rule, seed=0)
    batch = step.place({"image": np.ones((2, 1), np.float32)})
    state, _, _ = step.run(state, batch)
    assert not np.any(state.params["seen"])
    assert not np.any(state.params["hidden"])  # the first of two batches
    state, terms, finite = step.run(state, batch)
    assert bool(finite)
    # Answers do not change with what is added to all logits alike, so that only differences count.
    assert float(state.params["hidden"]) > 100 * float(np.ptp(state.params["seen"])) > 0
    assert float(terms["learning_rate"]) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"multipliers": {"seen": 0.1}}, "wanted 0 or 1"),
    ],
)
def test_settings_that_have_no_meaning_are_refused(settings, words) -> None:
    with pytest.raises(InputError, match=words):
        make_optimiser(Settings(method="natural", **settings), {"seen": jnp.zeros(3)}, batches=10, batches_per_epoch=10)


def test_an_objective_without_answers_is_refused() -> None:
    rule = make_optimiser(Settings(method="natural"), {"w": jnp.zeros(3)}, batches=1, batches_per_epoch=1)
    with pytest.raises(InputError, match="classifier"):
        make_step(lambda *given: (jnp.zeros(()), ({}, {})), rule, frozen_statistics=True)
