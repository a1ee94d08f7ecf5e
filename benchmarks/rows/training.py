"""H1 and H2: a step of harmonized training against a plain one of the same model; memory with and without remat."""

from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.comparison import Contender, compare
from benchmarks.rows.row import Row

BATCH, SIZE = 8, 224
QUICK = 2
MOST = 3.0  # times the plain step that the harmonized one may take
MODELS = {"H1": ("ResNet-50", "resnet50", 4.09), "H2": ("ViT-B/16", "vit-base-patch16", 17.56)}


class Stepper:
    """One step after another of one kind of training; the state is given away and replaced."""

    def __init__(self, model: Any, map_weight: float, batch: dict[str, np.ndarray], *, remat: bool) -> None:
        from engine.harmonize.loss import Harmonizer, harmonizer
        from engine.training.optimiser import Settings, make_optimiser
        from engine.training.state import initial_state
        from engine.training.step import make_step
        from models.preprocessing import normalise
        from models.trainable import kernels

        decayed = kernels(model.params)
        rule = make_optimiser(Settings(learning_rate=1e-4), model.params, batches=100, batches_per_epoch=10)
        objective = harmonizer(
            model.forward,
            model.spec.port().readout,
            decayed,
            partial(normalise, preprocessing=model.spec.preprocessing),
            Harmonizer(map_weight=map_weight),
        )
        self._state = initial_state(model.params, model.statistics, rule, seed=0)
        step = make_step(objective, rule, frozen_statistics=False, remat=remat)
        self._batch = step.place(batch)
        # Compiled once, and its own account of the memory kept: what a step needs beside parameters and batch.
        self._run = step.run.lower(self._state, self._batch).compile()
        self.temporary = int(self._run.memory_analysis().temp_size_in_bytes)

    def __call__(self) -> None:
        self._state, _, finite = self._run(self._state, self._batch)
        assert bool(jax.device_get(finite)), "the step is not finite"


def run(name: str, multiplications: float, quick: bool) -> dict[str, Any]:
    """Steps of SGD with batch normalisation in training mode, float32, random weights, every picture with a map."""
    from models import zoo
    from models.port import Choice
    from models.trainable import trainable

    model = trainable(zoo.spec(name), Choice("random"))
    rng = np.random.default_rng(0)
    count = QUICK if quick else BATCH
    batch = {
        "image": rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8),
        "label": rng.integers(0, 1000, count).astype(np.int32),
        "map": rng.uniform(size=(count, SIZE, SIZE)).astype(np.float32),
        "has_map": np.ones(count, np.float32),
    }
    kinds = {
        "harmonized": Stepper(model, 1.0, batch, remat=False),
        "harmonized, remat": Stepper(model, 1.0, batch, remat=True),
        "plain": Stepper(model, 0.0, batch, remat=False),
        "plain, remat": Stepper(model, 0.0, batch, remat=True),
    }
    ours = [Contender(kind, step) for kind, step in kinds.items() if kind.startswith("harmonized")]
    peers = [Contender(kind, step) for kind, step in kinds.items() if kind.startswith("plain")]
    # Forward, gradients of activations and of parameters; the map loss doubles it.
    cost = {"multiply-adds": 2 * 6e9 * multiplications * count}
    found = compare(ours, peers, dtype="float32", cost=cost, quick=quick, goal=1 / MOST)
    rates = ", ".join(f"{entry['name']} {count / entry['median']:.2f}" for entry in found["entries"])
    memory = ", ".join(f"{kind} {step.temporary / 1e9:.2f}" for kind, step in kinds.items())
    notes = [
        f"images per second: {rates}",
        f"GB of a step beside parameters and batch, as compiled: {memory}",
        f"the ratio is plain over harmonized: {1 / MOST:.2f} is {MOST:.0f} times the plain step",
    ]
    return {"sizes": {"images": count, "pixels": SIZE}, "notes": notes, **found}


def row(title: str, name: str, multiplications: float) -> Row:
    """The line of the table."""
    work = f"{title}, a harmonized training step of {BATCH} images of {SIZE} pixels, random weights"
    return Row(work, "a plain step", 1 / MOST, "at most 3 plain steps", 8, partial(run, name, multiplications))


ROWS = {key: row(*given) for key, given in MODELS.items()}
