"""The flops the table counts are those that XLA finds in the compiled programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import costs
from benchmarks.rows.ridge import gram_blocks
from engine.gram import _upper_products
from engine.solvers import elimination
from engine.solvers.targets import target_mesh

FOLD = 60


def compiled_flops(work: object, *arguments: object) -> float:
    return jax.jit(work).lower(*arguments).compile().cost_analysis()["flops"]


@pytest.mark.parametrize("explicit", [False, True])
def test_nested_folds(explicit: bool) -> None:
    stimuli, targets, sizes = 5 * FOLD, 2 * FOLD if explicit else FOLD, (FOLD,) * 5
    kernel, penalty = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((stimuli, stimuli), ()))
    responses = jax.ShapeDtypeStruct((stimuli, targets), np.float32)

    def factor(kernel: jax.Array, penalty: jax.Array) -> elimination.Step:
        return elimination.factor(kernel, penalty, sizes, explicit, jnp.dtype(np.float32))

    step = jax.eval_shape(factor, kernel, penalty)
    counted = costs.nested_five_fold(stimuli, targets, penalties=1)
    # XLA counts no LAPACK call: 24 factors and their inverses, in cubes of a fold.
    lapack = (24 / 3 + (24 if explicit else 14)) * FOLD**3
    assert counted["eliminations"] - lapack == pytest.approx(compiled_flops(factor, kernel, penalty), rel=0.05)
    mesh = target_mesh(None)
    found = compiled_flops(
        lambda step, given: elimination.scores(step, given, sizes, explicit, "r2", False, mesh), step, responses
    )
    solves = 0 if explicit else 20 * FOLD**2 * targets
    assert counted["targets"] - solves == pytest.approx(found, rel=0.1)
    if explicit:
        stored = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(step))
        assert costs.stored_factors() * stimuli**2 == pytest.approx(stored, rel=0.03)


def test_gram() -> None:
    stimuli, units = 480, 700
    count = gram_blocks(stimuli)
    assert count > 1
    blocks = [jax.ShapeDtypeStruct((stimuli // count, units), np.float32)] * count
    counted = costs.total(costs.gram(stimuli, units, count))
    assert counted == pytest.approx(compiled_flops(_upper_products, blocks), rel=0.01)


def test_penalties_and_targets_multiply() -> None:
    one, many = costs.nested_five_fold(500, 10, 1), costs.nested_five_fold(500, 20, 3)
    assert many["eliminations"] == pytest.approx(3 * one["eliminations"])
    assert many["targets"] == pytest.approx(6 * one["targets"])


def test_leave_one_out_in_ten_splits_costs_little_more_than_the_inverse() -> None:
    found = costs.splits_by_inverse(2880, 320, 256, splits=10, penalties=1)
    assert 1.6 * 3200**3 < found["inverses"] < 1.9 * 3200**3
