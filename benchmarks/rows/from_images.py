"""E1: one model x one recording, every layer, from image files to scores, against PyTorch hooks and himalaya."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.agreement import Agreement
from benchmarks.comparison import Contender, compare, fastest
from benchmarks.peers import Chosen, himalaya, himalaya_backends
from benchmarks.rows.recordings import Silent, first, session
from benchmarks.rows.row import Row
from engine.solvers.folds import Split
from engine.splits import kfold

MODEL, SESSION = "efficientnet-lite0", 190925
LAYERS = ["stem", *(f"block{number}" for number in range(16)), "head"]
QUICK_LAYERS, QUICK_STIMULI = ["block12", "block15", "head"], 60
PENALTIES = tuple(10.0**k for k in range(9))
BATCH = 50  # images in one call of PyTorch
PER_LAYER, SHARED = 5.0, 2.0
SAME_R, SAME_PENALTIES = 1e-3, 0.995  # of features in float32 on both sides


def run(quick: bool) -> dict[str, Any]:
    """Weights are loaded beforehand on both sides; pictures are decoded and resized in every run."""
    from engine import job
    from engine.from_model import FromModel
    from engine.metrics import catalogue
    from engine.target import target
    from models import zoo

    layers = QUICK_LAYERS if quick else LAYERS
    recording = session(SESSION)
    if quick:
        recording = first(recording, QUICK_STIMULI)
    splits = kfold(len(recording.stimuli), folds=5, seed=0)
    ridge = catalogue.ridge(PENALTIES, relative=False, select="r2", choose="neuroid", components=None)
    aim = target(recording, splits)
    model = zoo.load(MODEL)

    def ours() -> dict[str, Chosen]:
        shown = replace(recording)  # another object: nothing that was kept of the last run serves this one
        with tempfile.TemporaryDirectory() as cache:
            work = [(shown, aim, [ridge.bind(aim)])]
            found = job.run(
                FromModel(model, layers), work, [ridge], cache=Path(cache), budget=2 * 10**9, stages=Silent()
            )
        rows = found.rows["ridge"]
        scores = {name: rows[rows["layer"] == name][["score", "penalty"]].to_numpy() for name in layers}
        return {name: _chosen(each.reshape(len(splits), -1, 2)) for name, each in scores.items()}

    peer = Peer(recording, layers, splits)
    backend, tried = peer.fastest_backend()
    peers = [
        Contender(f"PyTorch, himalaya {backend} per layer", partial(peer, backend, "linear"), None, "", tried),
        Contender(f"PyTorch, himalaya {backend}, one Gram per layer", partial(peer, backend, "precomputed")),
    ]
    # In float64: in float32 the mean drowns the predictions of a neuroid for which the largest penalty is best.
    wanted = peer("numpy", "precomputed", np.float64)
    main = Contender("corticalign", ours, partial(graded, wanted))
    found = compare([main], peers, dtype="float32", cost={}, quick=quick, goal=PER_LAYER)
    mine, per_layer, shared = (entry["median"] for entry in found["entries"])
    found["ratio"] = per_layer / mine  # the goal is about the way most people do it
    notes = [f"one Gram per layer: {shared / mine:.2f}x (to reach {SHARED:g}x)"]
    sizes = {"stimuli": len(recording.stimuli), "neuroids": len(aim.neuroids), "layers": len(layers), "folds": "5 x 4"}
    return {"sizes": sizes | {"penalties": len(PENALTIES)}, "notes": notes, **found}


class Peer:
    """The same scores by the tools people use: hooks, features in memory, KernelRidgeCV for each layer and fold."""

    def __init__(self, recording: Any, layers: Sequence[str], splits: Sequence[Split]) -> None:
        import torch

        from models import zoo
        from models.weights.sources import default_places
        from tests.models.reference.inverted_residual import lite0

        spec = zoo.spec(MODEL)
        assert spec.weights is not None
        self._network = lite0()
        self._network.load_state_dict(torch.load(spec.weights.source.locate(default_places()), weights_only=True))
        self._network.eval()
        self._spec, self._recording, self._layers, self._splits = spec, recording, layers, splits
        self._grid = np.array(PENALTIES)

    def features(self, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Stimuli x units of each layer, float32, all in memory: 5.8 GB for 18 layers of 1200 stimuli."""
        import torch

        from engine.stimuli import View, pixels
        from tests.models.parity import observed

        shown = pixels(self._recording, self._spec, View(), Silent())
        where = self._network.where()
        pattern = "|".join(re.escape(where[layer]) for layer in layers)
        found: dict[str, np.ndarray] = {}
        for start in range(0, len(shown), BATCH):
            batch = (torch.tensor(shown[start : start + BATCH]).permute(0, 3, 1, 2).float() - 127) / 128
            seen = observed(self._network, batch, pattern)
            for layer in layers:
                rows = seen[where[layer]][1].flatten(1).numpy()
                if layer not in found:
                    found[layer] = np.empty((len(shown), rows.shape[1]), np.float32)
                found[layer][start : start + len(rows)] = rows
        return found

    def __call__(self, backend: str, kernel: str, dtype: type = np.float32) -> dict[str, Chosen]:
        """From image files to scores."""
        features = self.features(self._layers)
        responses = self._recording.responses.astype(dtype)
        return {
            layer: himalaya(
                backend,
                kernel,
                None,
                features.pop(layer).astype(dtype, copy=False),
                responses,
                self._splits,
                self._grid,
            )
            for layer in self._layers
        }

    def fastest_backend(self) -> tuple[str, dict[str, float]]:
        """Of himalaya's, on one fold of the last layer."""
        last = self.features(self._layers[-1:])[self._layers[-1]]
        responses = self._recording.responses.astype(np.float32)
        return fastest(
            {
                backend: partial(himalaya, backend, "linear", None, last, responses, self._splits[:1], self._grid)
                for backend in himalaya_backends()
            }
        )


def graded(wanted: dict[str, Chosen], found: dict[str, Chosen]) -> Agreement:
    """Of every layer with himalaya's in float64, by fold and neuroid, where both chose the same penalty."""
    same = np.concatenate([(found[layer].index == each.index).ravel() for layer, each in wanted.items()])
    apart = np.concatenate([np.abs(found[layer].pearson - each.pearson).ravel() for layer, each in wanted.items()])
    worst, median = float(apart[same].max()), float(np.median(apart[same]))
    other = float(apart[~same].max()) if (~same).any() else 0.0
    holds = worst < SAME_R and bool(same.mean() > SAME_PENALTIES)
    return Agreement(worst, median, int((~same).sum()), other, holds, choices="penalties than himalaya's (of test r)")


def _chosen(scores: np.ndarray) -> Chosen:
    """Fold x neuroid x (r, penalty), as a peer's."""
    return Chosen(np.log10(scores[..., 1]).round().astype(int), scores[..., 0])


ROWS = {
    "E1": Row(
        f"EfficientNet-Lite0 x V4 session {SESSION} x {len(LAYERS)} layers, from image files to scores",
        "PyTorch hooks and himalaya KernelRidgeCV for each layer",
        PER_LAYER,
        f"{PER_LAYER:g}x per layer, {SHARED:g}x with one Gram per layer",
        15,
        run,
    )
}
