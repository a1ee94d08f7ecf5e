import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.training.account import Evaluation, Report
from engine.training.checkpoints import Checkpoints
from engine.training.log import read
from engine.training.loop import train
from engine.training.optimiser import make_optimiser
from engine.training.state import TrainState, initial_state
from engine.training.step import make_step
from tests.engine.training.toy import ADAMW, FEATURES, Batches, batch, begin, digest, norm, parameters, run, run_killed


def test_training_is_its_steps_one_after_the_other(tmp_path: Path) -> None:
    seen: list[Report] = []
    found = run(tmp_path, 9, report=seen.append)
    _, step, state = begin(ADAMW, 9)
    losses = []
    for number in range(1, 10):
        state, terms, _ = step.run(state, step.place(batch(number)))
        losses.append(float(terms["loss"]))
    assert digest(found) == digest(state)
    log = read(tmp_path / "terms.csv")
    assert log["step"].tolist() == list(range(1, 10))
    assert log["loss"].tolist() == losses
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "terms.parquet"), log)
    assert [each.step for each in seen] == list(range(1, 10))
    assert [each.terms["loss"] for each in seen] == losses
    assert np.isnan(seen[0].images_per_second)
    assert all(each.images_per_second > 0 for each in seen[1:])
    assert seen[-1].seconds_left == 0
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["6", "9"]


def test_a_killed_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.training.toy"])

    def finish(folder: Path, kills: list[int]) -> list[int | None]:
        folder.mkdir()
        codes = []
        for reports in [*kills, 0]:
            process = context.Process(target=run_killed, args=(folder, 14, reports))
            process.start()
            process.join()
            codes.append(process.exitcode)
        return codes

    # Steps and evaluations done before each kill, at random: before the first checkpoint, while one is written (there
    # is one every third step and at every evaluation), and between.
    kills = [1, *np.random.default_rng(1).integers(2, 7, 3).tolist()]
    assert finish(tmp_path / "killed", kills) == [-9] * len(kills) + [0]
    assert finish(tmp_path / "whole", []) == [0]
    for name in ("digest", "terms.csv", "scores.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert read(tmp_path / "killed" / "terms.csv")["step"].tolist() == list(range(1, 15))
    assert read(tmp_path / "killed" / "scores.csv")["step"].tolist() == [0, 5, 10, 14]


def evaluated(values: list[float]) -> Any:
    """Scores that come one after the other, whatever the state."""
    given: Iterator[float] = iter(values)
    return lambda state: {"other": 0.0, "score": next(given)}


def test_training_stops_early_and_stays_stopped(tmp_path: Path) -> None:
    seen: list[Report] = []
    scores = evaluated([0.1, 0.3, 0.3, 0.2, 0.9])
    state = run(tmp_path, 20, report=seen.append, evaluation=Evaluation(scores, "score", every=4, patience=2))
    assert int(state.step) == 12
    assert read(tmp_path / "scores.csv")["score"].tolist() == [0.1, 0.3, 0.3, 0.2]
    assert seen[-1].stopped == "score did not rise in 2 evaluations after step 4"
    assert [each.step for each in seen if each.scores] == [0, 4, 8, 12]
    again = run(tmp_path, 20, evaluation=Evaluation(scores, "score", every=4, patience=2))
    assert digest(again) == digest(state)
    # The best state is that of four steps.
    checkpoints = Checkpoints(tmp_path / "checkpoints", {"model": "toy", "steps": 20})
    assert checkpoints.best == 4
    _, step, wanted = begin(ADAMW, 20)
    for number in range(1, 5):
        wanted, _, _ = step.run(wanted, step.place(batch(number)))
    assert digest(checkpoints.restore(begin(ADAMW, 20)[2], 4)) == digest(wanted)
    checkpoints.close()


class Spoiled(Batches):
    """Not a number from the fifth batch on."""

    def __next__(self) -> dict[str, Any]:
        given = super().__next__()
        return given if self.drawn < 5 else given | {"target": given["target"] * np.float32(np.nan)}


def test_divergence_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    kept = tmp_path / "checkpoints" / "3"
    told = f"training diverged at step 5: loss nan, error nan.*the last good checkpoint, {kept}, is kept; a lower"
    with pytest.raises(InputError, match=told):
        run(tmp_path, 9, batches=Spoiled())
    assert kept.exists()
    assert read(tmp_path / "terms.csv")["step"].tolist() == [1, 2, 3, 4]
    # With the cause removed it goes on from there.
    found = run(tmp_path, 9)
    assert digest(found) == digest(run(tmp_path / "other", 9))


def test_a_score_that_is_not_a_number_stops_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"score 'score' is nan at step 4; the last good checkpoint, .*/3, is kept"):
        run(tmp_path, 9, evaluation=Evaluation(evaluated([0.1, np.nan]), "score", every=4))
    with pytest.raises(InputError, match="score 'score' is nan at step 0; there is no checkpoint yet"):
        run(tmp_path / "at once", 9, evaluation=Evaluation(evaluated([np.nan]), "score", every=4))
    with pytest.raises(InputError, match="unknown held-out score 'scor'; did you mean score"):
        run(tmp_path / "name", 9, evaluation=Evaluation(norm, "scor", every=4))


def test_batches_that_end_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the batches ended before step 5 of 9"):
        run(tmp_path, 9, batches=Batches(end=4))


def pairs(params: Any, statistics: Any, batch: Any, key: Any) -> Any:
    """Needs the square of the number of examples."""
    count = len(batch["target"])
    large = jnp.exp(jnp.broadcast_to(batch["target"][:, None], (count, count)) * params["last"]["weight"][0])
    return (large * large[::-1, ::-1]).mean(), ({}, statistics)


class Grown(Batches):
    """Of one batch a step needs over 4 TB, or (``many`` too large for any address) the batch itself does."""

    def __init__(self, many: int, first: int) -> None:
        super().__init__()
        self.many, self.first = many, first

    def __next__(self) -> dict[str, Any]:
        given = super().__next__()
        if self.drawn < self.first:
            return given | {"image": given["image"][:, :, None, None]}
        return {"image": np.zeros((self.many, FEATURES, 1, 1), np.float32), "target": np.zeros(self.many, np.float32)}


@pytest.mark.parametrize(
    ("many", "told"),
    [
        (2**20, "no memory is left for a step of 1048576 images of 6 x 1 pixels; {}; give a smaller .* or smaller im"),
        (2**50, "no memory is left to read the batch of step 4; {}; give a smaller batch"),
    ],
)
def test_no_memory_is_told_with_what_to_do(many: int, told: str, tmp_path: Path) -> None:
    optimiser = make_optimiser(ADAMW, parameters(), batches=4, batches_per_epoch=2)
    step = make_step(pairs, optimiser, frozen_statistics=True)
    state = initial_state(parameters(), {}, optimiser, seed=0)
    checkpoints, kept = Checkpoints(tmp_path / "checkpoints", {}), tmp_path / "checkpoints" / "2"
    with pytest.raises(InputError, match=told.format(f"the last good checkpoint, {kept}, is kept")):
        train(state, step, Grown(many, 4), steps=4, checkpoints=checkpoints, checkpoint_every=2, log=tmp_path)
    assert int(checkpoints.restore(initial_state(parameters(), {}, optimiser, seed=0), 2).step) == 2
    checkpoints.close()


def test_a_step_larger_than_memory_is_refused_before_it_runs(tmp_path: Path) -> None:
    optimiser = make_optimiser(ADAMW, parameters(), batches=4, batches_per_epoch=2)
    step = make_step(pairs, optimiser, frozen_statistics=True)
    state = initial_state(parameters(), {}, optimiser, seed=0)
    checkpoints = Checkpoints(tmp_path / "checkpoints", {})
    # A table of 2^40 pairs in float32 is 4398 GB; the compiler may keep up to three.
    told = (
        r"too little memory for a step of 1048576 images of 6 x 1 pixels \((4398|8796|13194) GB are wanted, .* are "
        r"free\); the last good checkpoint, .*/0, is kept; give a smaller batch"
    )
    with pytest.raises(InputError, match=told):
        train(state, step, Grown(2**20, 1), steps=4, checkpoints=checkpoints, checkpoint_every=2, log=tmp_path)
    checkpoints.close()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"steps": 0}, "steps=0: wanted 1 or more"),
        ({"steps": 4, "evaluation": Evaluation(norm, "score", every=0)}, "evaluate every=0"),
        ({"steps": 4, "evaluation": Evaluation(norm, "score", every=2, patience=0)}, "patience=0"),
    ],
)
def test_counts_that_cannot_be_used(given: dict[str, Any], told: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", {})
    _, step, state = begin(ADAMW, 10)
    with pytest.raises(InputError, match=told):
        train(state, step, Batches(), checkpoints=checkpoints, checkpoint_every=2, log=tmp_path, **given)
    checkpoints.close()


def test_fewer_steps_than_done_are_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", {})
    _, step, state = begin(ADAMW, 10)

    def to(steps: int, state: TrainState) -> TrainState:
        return train(state, step, Batches(), steps=steps, checkpoints=checkpoints, checkpoint_every=2, log=tmp_path)

    to(4, state)
    with pytest.raises(InputError, match=r"steps=3: the checkpoints in .* are already at step 4"):
        to(3, begin(ADAMW, 10)[2])
    checkpoints.close()
