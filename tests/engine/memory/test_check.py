"""What a job is said to take: by hand, against XLA's own analysis, and what is told where it will not do."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from engine.activations import plan
from engine.errors import InputError
from engine.memory import check, room
from engine.memory import metrics as of_metrics
from engine.memory.passes import ACTIVATIONS, BATCH, GRAMS, SCORING, Demand, Piece, largest, moments, pieces
from engine.metrics.catalogue import regression
from engine.metrics.metric import Metric
from engine.solvers import elimination, inverse
from engine.solvers.folds import Split
from engine.solvers.targets import target_mesh
from engine.target import Target
from tests.engine.commands.test_cli import run

UNITS = {"a": 700, "b": 500, "c": 300}


def folds(stimuli: int, count: int) -> list[Split]:
    parts = np.array_split(np.arange(stimuli), count)
    everything = np.arange(stimuli)
    return [
        Split(np.setdiff1d(everything, own), own, tuple(part for part in parts if part is not own)) for own in parts
    ]


def of(stimuli: int, neuroids: int, splits: Sequence[Split]) -> Target:
    names = pd.DataFrame({"region": ["V4"] * neuroids, "subject": ["x"] * neuroids, "ceiling": np.nan})
    responses = np.random.default_rng(0).normal(size=(stimuli, neuroids))
    return Target("mine", responses, names, {}, splits, "", pd.DataFrame(index=range(stimuli)))


def demand(budget: int, stimuli: int = 10, known: int = 0) -> Demand:
    return Demand(3000, pieces(plan(UNITS, stimuli, budget), UNITS), stimuli, 4, 50, known, UNITS)


def test_passes_by_hand() -> None:
    # 1000 units fit: the deepest two together, then the first.
    found = demand(4 * 10 * 1000)
    assert found.passes == [[Piece(500, True), Piece(300, True)], [Piece(700, True)]]
    assert found.captured == 4 * 10 * 800
    told = [tuple(each.get(part, 0) for part in (ACTIVATIONS, BATCH, GRAMS, SCORING)) for each in moments(found, 10, 7)]
    assert told == [
        (0, 0, 0, 0),
        (32000, 50 + 4 * 4 * 800, 0, 0),
        (32000, 0, 800, 0),  # a Gram matrix takes 400, and as much again while it is put together
        (12000, 0, 400 + 800, 7),
        (0, 0, 800, 7),
        (28000, 50 + 4 * 4 * 700, 800, 7),
        (28000, 0, 800 + 800, 7),
        (0, 0, 1200, 7),
    ]
    assert largest(found, 10, 0)[ACTIVATIONS] == 32000


def test_a_layer_in_slices_has_one_gram_matrix_and_known_ones_wait_too() -> None:
    cut = pieces([[("a", 0, 350), ("b", 0, 500)], [("a", 350, 700)]], {"a": 700, "b": 500})
    assert cut == [[Piece(350, False), Piece(500, True)], [Piece(350, True)]]
    assert next(moments(demand(4 * 10 * 1500, known=2), 10, 7)) == {GRAMS: 800, SCORING: 7}


def test_nested_ridge_takes_what_xla_says_and_not_much_more() -> None:
    stimuli, count, neuroids = 120, 3, 60
    with jax.enable_x64(True):
        kernel = jax.ShapeDtypeStruct((stimuli, stimuli), jnp.float64)
        number = jax.ShapeDtypeStruct((), jnp.float64)
        responses = jax.ShapeDtypeStruct((stimuli, neuroids), jnp.float64)
        sizes = (stimuli // count,) * count
        program = elimination.factor_and_score.lower(
            kernel, number, responses, sizes, "r2", False, target_mesh(None)
        ).compile()
    said = program.memory_analysis()
    assert said is not None
    alone = said.temp_size_in_bytes + said.argument_size_in_bytes + said.output_size_in_bytes
    target = of(stimuli, neuroids, folds(stimuli, count))
    ours = of_metrics.scoring("ridge", {"components": None}, target, neuroids)
    # The program's own argument is one of the copies of the kernel that are held, the others are outside.
    outside = 8 * (of_metrics.COPIES - 1) * stimuli**2
    assert alone + outside <= ours <= 1.6 * (alone + outside)


def test_one_inverse_takes_what_xla_says_and_not_much_more() -> None:
    n = 200
    with jax.enable_x64(True):
        program = inverse.centred_inverse.lower(
            jax.ShapeDtypeStruct((n, n), jnp.float64), jax.ShapeDtypeStruct((), jnp.float64)
        ).compile()
    said = program.memory_analysis()
    assert said is not None
    own = (said.temp_size_in_bytes + said.output_size_in_bytes) / (8 * n**2)
    assert own <= of_metrics.INVERSE <= 1.6 * own


def ridge() -> Metric:
    return regression.ridge((1.0,), True, "r2", "neuroid", None)


def test_what_will_not_fit_is_refused_with_the_numbers_and_a_budget_that_would(monkeypatch: pytest.MonkeyPatch) -> None:
    target, gigabyte = of(10, 4, folds(10, 5)), 10**9

    def large(budget: int) -> Demand:
        return Demand(0, [[Piece(budget // 40, True)]], 10, 4, 0, 0, {"a": budget // 40})

    monkeypatch.setattr(room, "free", lambda: 2 * gigabyte)
    check.check(large, target, [ridge()], gigabyte)
    with pytest.raises(InputError) as caught:
        check.check(large, target, [ridge()], 4 * gigabyte)
    said = str(caught.value)
    assert "too little memory for mine: about 6 GB more of main memory would be taken and 2 GB are free" in said
    assert "activations 4 GB, one batch 1.6 GB, compiled programs 0.4 GB" in said
    assert said.endswith("memory.budget=1 would fit")
    monkeypatch.setattr(room, "free", lambda: 100)
    with pytest.raises(InputError, match=r"choose fewer layers|end other programs"):
        check.check(demand, target, [ridge()], 4 * 10 * 1000)
    monkeypatch.setattr(room, "free", lambda: None)  # nobody says
    check.check(large, target, [ridge()], 4 * gigabyte)


def test_a_job_is_refused_before_a_picture_is_decoded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(room, "free", lambda: 100_000_000)
    decoded: list[object] = []
    monkeypatch.setattr("engine.from_model.prepare_all", lambda *given, **named: decoded.append(given))
    own = ["model.entry=tests.engine.memory.limited:wide", "model.size=8", "metric=[ridge,pls]", "quiet=true"]
    status, _, err = run(capsys, "score", *own, "dataset=sim", "dataset.stimuli=30", "dataset.neurons=2")
    assert status == 2
    assert "too little memory for sim" in err
    assert "compiled programs 0.4 GB, activations 0.14 GB" in err  # 30 stimuli x 6 layers of 200,000 units x 4 bytes
    assert err.count("\n") == 1
    assert decoded == []
