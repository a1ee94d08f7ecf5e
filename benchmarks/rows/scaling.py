"""R6: time and memory of nested ridge over stimuli, targets and layers, against its own cost model."""

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks import costs, data
from benchmarks.agreement import exact_scores, grade
from benchmarks.comparison import ROUNDS, say
from benchmarks.data import Size
from benchmarks.measure import OtherWork, product_peak, timed
from benchmarks.rows.row import Row
from benchmarks.rows.scaling_model import (
    PENALTIES,
    Measured,
    Model,
    Point,
    budget,
    fitted,
    predicted_memory,
    predicted_seconds,
)
from engine.solvers.nested import NestedRidge
from engine.solvers.ridge import nested_ridge, nested_ridge_layers
from engine.splits import kfold

UNITS = 1000
WITHIN = 2.0


SMALLEST = Point(50, 100)
ELIMINATING = {False: Point(1600, 100), True: Point(400, 100)}
TARGETING = {False: Point(400, 20_000), True: Point(200, 20_000)}
POINTS = {
    False: [
        *(Point(n, 100) for n in (200, 400, 800, 1600, 3200, 6400, 12_800)),
        *(Point(400, t) for t in (1000, 10_000, 100_000, 1_000_000)),
        *(Point(400, 100, layers) for layers in (4, 16, 64)),
    ],
    True: [Point(400, 100), Point(200, 5000), Point(200, 40_000), Point(400, 100, 3)],
}


def run(quick: bool) -> dict[str, Any]:
    """The row."""
    others = OtherWork()
    peak = {"dtype": "float32", "before": product_peak("float32", quick)}
    with tempfile.TemporaryDirectory() as folder:
        smallest, eliminating, targeting = (
            measure(point, Path(folder)) for point in (SMALLEST, ELIMINATING[quick], TARGETING[quick])
        )
        agreement = streamed_agreement(TARGETING[quick], Path(folder))
        model = fitted(smallest, eliminating, targeting, TARGETING[quick])
        found = []
        for point in POINTS[quick]:
            measured = measure(point, Path(folder))
            found.append(_record(point, measured, model))
            say(f"{point.name()}: {measured.seconds():.3g} s, {found[-1]['time_ratio']:.2f} of the model")
    peak["after"] = product_peak("float32", quick)
    for record in found:
        record["share_of_peak"] = record["flops_per_second"] / max(peak["before"], peak["after"])
    time, memory = (sum(record[key] <= WITHIN for record in found) for key in ("time_ratio", "memory_ratio"))
    over = sum(record["memory"] > record["budget"] for record in found)
    return {
        "status": "measured" if agreement["holds"] else "disagrees",
        "dtype": "float32",
        "sizes": {"penalties": PENALTIES, "folds": "5 x 4"},
        "verdict": f"{time} of {len(found)} points within 2x in time, {memory} in memory; {over} over budget",
        "points": found,
        "model": model._asdict(),
        "notes": [_in_words(model, quick)],
        "peak": peak,
        "agreement": agreement,
        "other_work_cores": others.cores(),
    }


def _in_words(model: Model, quick: bool) -> str:
    return (
        f"model: {1000 * model.overhead:.3g} ms a call from {SMALLEST.name()}, {model.eliminating / 1e9:.3g} Gflop/s "
        f"of eliminations from {ELIMINATING[quick].name()}, {model.targeting / 1e9:.3g} Gflop/s of many targets from "
        f"{TARGETING[quick].name()}"
    )


def measure(point: Point, folder: Path) -> Measured:
    """A call that compiles, then the runs that count."""
    features = data.problem(Size(point.stimuli, UNITS, 1)).features
    kernel = features @ features.T
    kernels = np.stack([kernel * (1 + layer) for layer in range(point.layers)]) if point.layers > 1 else kernel
    grid = data.penalties(features, PENALTIES)
    splits = kfold(point.stimuli, folds=5, seed=0)
    with responses_file(features, point.targets, folder) as responses:
        work = partial(nested_ridge if point.layers == 1 else nested_ridge_layers, kernels, responses, splits, grid)
        work()
        runs = [timed(work)[1] for _ in range(ROUNDS)]
    cost = costs.total(costs.nested_five_fold(point.stimuli, point.targets, PENALTIES))
    return Measured(
        [one.seconds for one in runs],
        max((one.host if one.device is None else one.device) or 0 for one in runs),
        point.layers * cost,
    )


@contextlib.contextmanager
def responses_file(features: np.ndarray, count: int, folder: Path) -> Iterator[h5py.Dataset]:
    """Responses in an HDF5 file, written in blocks so that they are never all in memory; deleted afterwards."""
    path = folder / "responses.h5"
    width = 10_000
    try:
        with h5py.File(path, "w") as file:
            stored = file.create_dataset("responses", (len(features), count), np.float32)
            for start in range(0, count, width):
                size = min(width, count - start)
                stored[:, start : start + size] = data.responses(features, size, seed=1 + start)
        with h5py.File(path) as file:
            yield file["responses"]
    finally:
        path.unlink(missing_ok=True)


def streamed_agreement(point: Point, folder: Path) -> dict[str, Any]:
    """Of a streamed run with float64."""
    features = data.problem(Size(point.stimuli, UNITS, 1)).features
    grid = data.penalties(features, PENALTIES)
    splits = kfold(point.stimuli, folds=5, seed=0)
    with responses_file(features, point.targets, folder) as responses:
        found: NestedRidge = nested_ridge(features @ features.T, responses, splits, grid)
        exact = exact_scores(data.exact_kernel(features), responses[...], splits, grid, "r2")
    return grade(exact, found.penalty_index, found.pearson)._asdict()


def _record(point: Point, measured: Measured, model: Model) -> dict[str, Any]:
    seconds, memory = predicted_seconds(point, model), predicted_memory(point, model)
    return {
        "name": point.name(),
        **point._asdict(),
        "runs": measured.runs,
        "seconds": measured.seconds(),
        "model_seconds": seconds,
        "time_ratio": measured.seconds() / seconds,
        "memory": measured.memory,
        "model_memory": memory,
        "memory_ratio": measured.memory / memory,
        "budget": budget(point, model),
        "flops": measured.flops,
        "flops_per_second": measured.flops / measured.seconds(),
    }


ROWS = {
    "R6": Row(
        "nested 5 x 4 folds over 200 to 12,800 stimuli, 100 to 1,000,000 targets from HDF5, 1 to 64 layers",
        "its own cost model",
        None,
        "time and memory within 2x of the model, memory within the stated budget",
        7,
        run,
    )
}
