"""Whether a job fits in memory, told before its first image is decoded.

The prediction counts what is still to come over what the process holds (``passes.py``, ``metrics.py``) and an allowance
for compiling. Predicted over measured growth of peak memory, of AlexNet (8 layers) on a CPU: 1.15 for ``dataset=sim``
with PLS, 1.18 with ridge, 1.11 for 1200 stimuli of ``cowley2023-v4`` with ridge in passes of 2 GB; without a forward
pass, where compiling is most of it, 1.33 with PLS and 1.42 with ridge over ten random splits.
"""

from collections.abc import Callable, Mapping, Sequence

import jax

from engine import hosts
from engine.errors import InputError
from engine.memory import metrics as of_metrics
from engine.memory import room
from engine.memory.passes import ACTIVATIONS, BATCH, GRAMS, SCORING, Demand, Parts, largest
from engine.memory.shortage import let_go
from engine.metrics.metric import Metric
from engine.solvers.targets import block_width, target_mesh
from engine.target import Target

# Of XLA while it compiles, and of its programs: 0.15 GB for a forward pass, 0.35 GB for nested ridge of five folds.
PROGRAMS = 400_000_000
PIXELS, PROGRAM, UNITS, WEIGHTS = "decoded stimuli", "compiled programs", "units kept for their metric", "weights"
SMALLEST = 1024  # divisor of the budget beyond which no smaller one is looked for


def check(demand: Callable[[int], Demand], target: Target, metrics: Sequence[Metric], budget: int) -> None:
    """Raises InputError where the job cannot fit, with the numbers and what to change.

    Does nothing where nobody says how much is free, or where several processes work on one job.

    Args:
        demand: bytes of budget -> what the predictor will hold.
        target, metrics: that will be scored.
        budget: bytes that activations may take.
    """
    if hosts.several():
        return
    accelerated = jax.default_backend() != "cpu"
    if accelerated:
        room.DEVICES[:] = jax.local_devices()
    lacking = _lacking(demand(budget), target, metrics, accelerated)
    if lacking is not None:
        let_go(programs=False)  # free pages of this process's own heap: an earlier job's
        lacking = _lacking(demand(budget), target, metrics, accelerated)
    if lacking is None:
        return
    where, parts, free = lacking
    total = sum(parts.values())
    listed = sorted(((size, what) for what, size in parts.items() if size > 0.02 * total), reverse=True)
    told = ", ".join(f"{what} {room.words(size)}" for size, what in listed)
    raise InputError(
        f"too little memory for {target.recording}: about {room.words(total)} more of {where} would be taken and "
        f"{room.words(free)} are free ({told}); {_advice(demand, target, metrics, budget, accelerated, listed[0][1])}"
    )


def _lacking(
    demand: Demand, target: Target, metrics: Sequence[Metric], accelerated: bool
) -> tuple[str, Parts, int] | None:
    """(which memory, its parts, what is free) where too little is free."""
    host, device = prediction(demand, target, metrics, accelerated)
    free = room.free()
    if free is not None and sum(host.values()) > free:
        return "main memory", host, free
    stated = room.on_devices()
    if device and stated is not None and stated.limit and sum(device.values()) > stated.limit - stated.used:
        return "device memory", device, stated.limit - stated.used
    return None


def prediction(
    demand: Demand, target: Target, metrics: Sequence[Metric], accelerated: bool = False
) -> tuple[Parts, Parts]:
    """Bytes by part that a job will take over what it holds: of main memory, and of each accelerator.

    On CPUs all is in main memory.
    """
    n = len(target.stimuli)
    width = block_width(max(1, 0 if target.responses is None else target.responses.shape[1]), target_mesh(None))
    needs = {metric.name: of_metrics.scoring(metric.name, metric.settings, target, width) for metric in metrics}
    hungriest = max(needs, key=lambda name: needs[name])
    layers = demand.known + len(demand.units)
    grams = 4 * n**2 * layers
    end = {each.name: of_metrics.together(each.name, target, layers) for each in metrics}
    joint = max(end, key=lambda name: end[name])
    beside = {
        PIXELS: demand.pixels,
        PROGRAM: PROGRAMS,
        WEIGHTS: demand.weights,
        UNITS: sum(of_metrics.kept(m.name, m.settings, target, p) for m in metrics for p in demand.units.values()),
    }
    scored = f"metric={hungriest}"
    moment = _named(largest(demand, n, needs[hungriest]), scored)
    if not accelerated:
        last = {GRAMS: grams, f"metric={joint}": end[joint]}
        return max(moment, last, key=lambda parts: sum(parts.values())) | beside, {}
    devices = len(jax.devices())
    moment = {what: size // devices if what in (ACTIVATIONS, BATCH) else size for what, size in moment.items()}
    moment[GRAMS] = 0
    solved = {scored: needs[hungriest]}
    on_device = max(moment, solved, {f"metric={joint}": end[joint]}, key=lambda parts: sum(parts.values()))
    return {GRAMS: grams} | beside, on_device | {WEIGHTS: demand.weights}


def _named(parts: Mapping[str, int], scored: str) -> Parts:
    return {scored if what == SCORING else what: size for what, size in parts.items()}


def _advice(
    demand: Callable[[int], Demand],
    target: Target,
    metrics: Sequence[Metric],
    budget: int,
    accelerated: bool,
    largest_part: str,
) -> str:
    """The setting that lowers it: a smaller budget where one is enough, else what the largest part depends on."""
    divisor = 2
    while divisor <= SMALLEST:
        try:
            if _lacking(demand(budget // divisor), target, metrics, accelerated) is None:
                return f"memory.budget={budget / divisor / 1e9:.2g} would fit"
        except InputError:  # it cannot hold one unit
            break
        divisor *= 2
    advice = {
        GRAMS: "choose fewer layers, as in layers=8",
        UNITS: "choose fewer layers, as in layers=8",
        WEIGHTS: "choose a smaller model",
        PIXELS: "score fewer stimuli, or a model of smaller images",
        PROGRAM: "end other programs, or ask for more memory",
    }
    return advice.get(largest_part, "score fewer stimuli or neuroids at once, or choose another metric")
