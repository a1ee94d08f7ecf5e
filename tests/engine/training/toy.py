"""A small network to train in milliseconds, also in processes of their own, which may be killed."""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.errors import InputError
from engine.training.account import Evaluation, Report
from engine.training.checkpoints import Checkpoints
from engine.training.loop import train
from engine.training.optimiser import Optimiser, Settings, make_optimiser
from engine.training.state import TrainState, initial_state
from engine.training.step import Step, make_step

FEATURES, HIDDEN, BATCH = 6, 5, 8
ADAMW = Settings("adamw", 0.02, "cosine", warmup=2, weight_decay=0.1, clip=1.0)


class Batches:
    """Batch k is a function of k."""

    def __init__(self, end: int = 10**9) -> None:
        self.drawn, self.end = 0, end

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> dict[str, Any]:
        if self.drawn == self.end:
            raise StopIteration
        self.drawn += 1
        return batch(self.drawn)

    def get_state(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def set_state(self, state: dict[str, Any]) -> None:
        self.drawn = state["drawn"]


def batch(seed: int, examples: int = BATCH) -> dict[str, np.ndarray]:
    """Targets are a fixed linear function of the inputs."""
    x = np.random.default_rng(seed).normal(size=(examples, FEATURES)).astype(np.float32)
    return {"image": x, "target": x @ np.arange(FEATURES, dtype=np.float32) / 10}


def parameters() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "first": {
            "weight": rng.normal(size=(FEATURES, HIDDEN)).astype(np.float32),
            "bias": np.zeros(HIDDEN, np.float32),
        },
        "last": {"weight": rng.normal(size=HIDDEN).astype(np.float32)},
    }


def statistics() -> dict[str, Any]:
    return {"mean": np.zeros(FEATURES, np.float32)}


def objective(params: Any, statistics: Any, batch: Any, key: jax.Array) -> Any:
    """Squared error of a network whose hidden units are dropped at random and whose input is centred by the batch."""
    x = batch["image"]
    mean = x.mean(0)
    hidden = jnp.tanh((x - mean) @ params["first"]["weight"] + params["first"]["bias"])
    hidden = hidden * jax.random.bernoulli(key, 0.8, hidden.shape)
    loss = jnp.mean((hidden @ params["last"]["weight"] - batch["target"]) ** 2)
    new = {"mean": 0.9 * statistics["mean"] + 0.1 * mean}
    return loss, ({"error": loss}, new)


# A step depends on the horizon and the settings alone, so tests share what is compiled.
_steps: dict[str, tuple[Optimiser, Step]] = {}


def begin(settings: Settings, steps: int, ema: float | None = 0.9) -> tuple[Optimiser, Step, TrainState]:
    name = f"{settings} {steps} {ema}"
    if name not in _steps:
        optimiser = make_optimiser(settings, parameters(), batches=steps, batches_per_epoch=4)
        _steps[name] = optimiser, make_step(objective, optimiser, frozen_statistics=False, ema=ema)
    optimiser, step = _steps[name]
    return optimiser, step, initial_state(parameters(), statistics(), optimiser, seed=3, ema=ema is not None)


def run(
    folder: Path,
    steps: int,
    *,
    report: Callable[[Report], None] | None = None,
    evaluation: Evaluation | None = None,
    batches: Batches | None = None,
) -> TrainState:
    """A whole training, begun or resumed, with a checkpoint every third step."""
    _, step, state = begin(ADAMW, steps)
    checkpoints = Checkpoints(folder / "checkpoints", {"model": "toy", "steps": steps})
    try:
        return train(
            state,
            step,
            batches or Batches(),
            steps=steps,
            checkpoints=checkpoints,
            checkpoint_every=3,
            log=folder,
            evaluation=evaluation,
            report=report,
        )
    finally:
        checkpoints.close()


def digest(state: TrainState) -> str:
    """SHA-256 of every bit of a state."""
    sha = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()


def norm(state: TrainState) -> dict[str, float]:
    """A held-out score: minus the error of the averaged parameters on a batch never trained on."""
    loss, _ = jax.jit(objective)(state.ema, state.statistics, batch(0), jax.random.key(0))
    return {"score": -float(loss)}


# In processes of their own.


def run_killed(folder: Path, steps: int, reports: int) -> None:
    """Trains, and is killed at the given report of this process; writes the digest where it is not (0)."""
    # Several processes compile the same; what is compiled is kept for the next.
    jax.config.update("jax_compilation_cache_dir", str(folder.parent / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    left = reports

    def report(seen: Report) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    state = run(folder, steps, report=report, evaluation=Evaluation(norm, "score", every=5))
    (folder / "digest").write_text(digest(state))


def run_on_devices(path: Path, devices: int, settings: Settings, steps: int, process: int, port: int | None) -> None:
    """Some steps on simulated devices, of one process or (with a port) two; writes the state and the last terms."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    processes = 1 if port is None else 2
    if port is not None:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"localhost:{port}", processes, process)
    _, step, state = begin(settings, steps)
    if devices > 1:
        with pytest.raises(InputError, match=f"{devices + 1} examples, to be split over {devices} devices"):
            step.place(batch(0, devices + 1))
    own = slice(process * 16 // processes, (process + 1) * 16 // processes)
    terms: dict[str, Any] = {}
    for number in range(steps):
        placed = step.place({name: whole[own] for name, whole in batch(number, 16).items()})
        assert len(placed["image"].sharding.device_set) == devices * processes
        state, terms, _ = step.run(state, placed)
    leaves = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    np.savez(path, **leaves, **{name: np.asarray(value) for name, value in terms.items()})
