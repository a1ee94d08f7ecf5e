"""A whole training in two processes: batches divided, checkpoints written by both, judged by each for itself."""

import csv
import multiprocessing
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from engine.training.course import Course, Judging, run_course
from tests.engine.test_meeting import free_port
from tests.engine.training import toy

STEPS = 6


COURSE = Course(steps=STEPS, batch=toy.BATCH, every=3, keep=2, frozen_statistics=False, ema=0.9, remat=False, seed=3)


class Shares(toy.Batches):
    """Each process's own half of every batch, or all of it."""

    def __next__(self) -> dict[str, Any]:
        size = toy.BATCH // jax.process_count()
        own = slice(jax.process_index() * size, (jax.process_index() + 1) * size)
        return {name: each[own] for name, each in super().__next__().items()}


def score(state: Any) -> dict[str, float]:
    """Minus the error on a batch never trained on."""
    loss, _ = jax.jit(toy.objective)(*state, toy.batch(0), jax.random.key(0))
    return {"score": -float(loss)}


def course(folder: Path, process: int | None, port: int) -> None:
    if process is not None:
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"localhost:{port}", 2, process)
    optimiser = toy.make_optimiser(toy.ADAMW, toy.parameters(), batches=STEPS, batches_per_epoch=4)
    kept = run_course(
        (toy.parameters(), toy.statistics()),
        toy.objective,
        optimiser,
        Shares(),
        Judging(score, "score"),
        COURSE,
        folder=folder,
        identity={"model": "toy"},
    )
    leaves = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves((kept.params, kept.statistics)))}
    np.savez(folder.parent / f"{folder.name}-{process or 0}.npz", step=kept.step, **leaves)


def test_a_training_in_two_processes_is_that_of_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.training.toy"])
    port = free_port()
    forms = {"one": [None], "two": [0, 1]}
    processes = [
        context.Process(target=course, args=(tmp_path / name, number, port))
        for name, numbers in forms.items()
        for number in numbers
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    wanted = dict(np.load(tmp_path / "one-0.npz"))
    assert wanted["step"] in (0, 3, 6)
    for number in (0, 1):
        found = dict(np.load(tmp_path / f"two-{number}.npz"))
        assert found.keys() == wanted.keys()
        for name, each in wanted.items():
            # Sums of 8 examples in another order.
            np.testing.assert_allclose(found[name], each, rtol=1e-5, atol=1e-6)
    for folder in (tmp_path / "one", tmp_path / "two"):
        with (folder / "log" / "terms.csv").open() as file:
            assert [row["step"] for row in csv.DictReader(file)] == [str(step) for step in range(1, STEPS + 1)]
        assert (folder / "checkpoints" / str(STEPS)).is_dir()
