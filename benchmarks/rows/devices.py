"""X1: one job over 1, 2, 4 and 8 simulated devices: the same numbers, and what is left for each device to do.

The devices are simulated on the cores of this machine, which they share, so no time can be gained: what is shown is
that work and memory are divided, that the numbers stay, and what the division itself costs.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.agreement import Agreement
from benchmarks.comparison import say
from benchmarks.measure import OtherWork, timed
from benchmarks.rows.row import Row
from engine.activations import blocks_of, layer_summaries, plan, taking
from engine.gram import Summary
from engine.solvers.nested import NestedRidge
from engine.solvers.ridge import nested_ridge, penalty_scale
from engine.splits import kfold
from engine.spread import Blocks, Slice, owners

COUNTS = (1, 2, 4, 8)
BUDGET = 2 * 10**9
PENALTIES = 3
EXACT = 1e-9  # of r, in float64


class Share(NamedTuple):
    """What one device does at most.

    Attributes:
        forward, products: flops, of the forward pass and of Gram matrices.
        kept: bytes of activations.
        sent: bytes of activations to other devices in all.
    """

    forward: float
    products: float
    kept: int
    sent: int


def share(pieces: list[Slice], blocks: Blocks, devices: int, batch_flops: float) -> Share:
    """By the rules of ``engine.spread``; ``batch_flops`` is the forward pass of one batch."""
    own = owners(pieces, devices)
    width = max(sum(piece.width for piece in mine) for mine in own)
    rounds = math.ceil(blocks.number * blocks.batches / devices)
    pairs = blocks.number * (blocks.number + 1) // 2
    per_round = 4 * blocks.batch * width
    return Share(
        rounds * batch_flops,
        2.0 * pairs * blocks.rows**2 * width,
        rounds * devices * per_round,
        rounds * (devices - 1) * per_round,
    )


def run(quick: bool) -> dict[str, Any]:
    """The row."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", COUNTS[-1])
    from models import zoo
    from models.port import Choice, layer_shapes, load
    from models.weights.sources import Places

    others = OtherWork()
    name, stimuli, chosen, targets = ("alexnet-trunk", 40, 2, 100) if quick else ("efficientnet-lite0", 640, 6, 20_000)
    model = load(zoo.spec(name), Choice("random", None, 0), Places(Path(), None, None))
    shapes = layer_shapes(model.spec)
    layers = list(shapes)[-chosen:]
    units = {layer: math.prod(shapes[layer]) for layer in layers}
    size = model.spec.preprocessing.size
    images = np.random.default_rng(0).integers(0, 255, (stimuli, size, size, 3), dtype=np.uint8)
    (pieces,) = plan(units, stimuli, BUDGET)
    blocks = blocks_of(stimuli)
    flops = _flops(taking(model.apply, tuple(pieces)), model.params, images[: blocks.batch])
    splits = kfold(stimuli, folds=5, seed=0)
    responses = np.random.default_rng(1).standard_normal((stimuli, targets))
    notes, apart = [], 0.0
    first: tuple[dict[str, Summary], NestedRidge] | None = None
    for count in COUNTS:
        devices = jax.devices()[:count]
        summaries, forward = timed(
            lambda devices=devices: dict(
                layer_summaries(model.apply, model.params, units, images, budget=BUDGET, devices=devices)
            )
        )
        with jax.enable_x64(True):
            kernel = np.asarray(summaries[layers[-1]].gram, np.float64)
            grid = np.logspace(-3, 3, PENALTIES) * penalty_scale(kernel)
            work = partial(nested_ridge, kernel, responses, splits, grid, devices=devices)
            work()
            scores, solve = timed(work)
        first = first or (summaries, scores)
        same = all(
            np.array_equal(one, other)
            for layer in layers
            for one, other in zip(summaries[layer], first[0][layer], strict=True)
        )
        apart = max(apart, float(np.abs(scores.pearson - first[1].pearson).max()), math.inf if not same else 0.0)
        mine = share(pieces, blocks, count, flops)
        notes.append(
            f"{count} device{'s' * (count > 1)}: each {mine.forward / 1e9:.4g} Gflop of the forward pass, "
            f"{mine.products / 1e9:.3g} of Gram matrices, {mine.kept / 1e6:.3g} MB kept, {mine.sent / 1e6:.3g} MB "
            f"sent, {math.ceil(targets / count):,} targets; {forward.seconds:.3g} s with compiling for layers, "
            f"{solve.seconds:.3g} s for the solve; Gram matrices {'bit for bit the same' if same else 'DIFFER'}"
        )
        say(notes[-1])
    agreement = Agreement(apart, apart, 0, 0.0, apart <= EXACT)
    return {
        "status": "measured" if agreement.holds else "disagrees",
        "dtype": "float32, solve float64",
        "sizes": {"model": name, "stimuli": stimuli, "layers": len(layers), "targets": targets},
        "verdict": "the same numbers; simulated on the same cores, so no time is to be gained",
        "points": [],
        "notes": notes,
        "agreement": agreement._asdict(),
        "other_work_cores": others.cores(),
    }


def _flops(forward: Any, params: Any, images: np.ndarray) -> float:
    """By XLA's own count, which knows convolutions and products."""
    shape = jax.ShapeDtypeStruct(images.shape, images.dtype)
    cost = jax.jit(forward).lower(params, shape).compile().cost_analysis()
    return float(cost["flops"])


ROWS = {
    "X1": Row(
        "EfficientNet-Lite0, 6 layers x 640 stimuli x 20,000 targets over 1, 2, 4 and 8 simulated devices",
        "one device",
        None,
        "the same Gram matrices bit for bit, r within 1e-9",
        6,
        run,
    )
}
