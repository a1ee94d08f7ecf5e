"""The main job on a real V4 session, against pipelines that share no code with it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.scoring import r2_score
from scipy.stats import pearsonr

from engine import datasets, job
from engine.fetch import fetch
from engine.from_model import FromModel
from engine.metrics import catalogue
from engine.recording import Recording
from engine.solvers.folds import Split
from engine.splits import kfold
from engine.stimuli import View, pixels
from engine.target import target
from models import zoo
from models.weights.sources import default_places

pytestmark = pytest.mark.real
PENALTIES = tuple(10.0**k for k in range(9))


class Silent:
    """No bars; a note would be a failure."""

    def stage(self, name: str, total: int, unit: str):  # type: ignore[no-untyped-def]  # a function that ignores steps
        return lambda steps: None

    def say(self, sentence: str) -> None:
        raise AssertionError(sentence)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("summaries")


@pytest.fixture
def session(mirror: Path, cache: Path) -> Recording:
    found = datasets.load("cowley2023-v4", {"sessions": [190925]}, lambda file: fetch(file, cache=cache, mirror=mirror))
    return found[0]


def run(session: Recording, model: str, layers: list[str], cache: Path) -> tuple[dict[str, np.ndarray], list[Split]]:
    """Our scores, by layer: r of split x neuroid; and the folds."""
    loaded = zoo.load(model)
    splits = kfold(len(session.stimuli), folds=5, seed=0)
    ridge = catalogue.ridge(PENALTIES, relative=False, select="r2", choose="neuroid", components=None)
    wanted = target(session, splits)
    work = [(session, wanted, [ridge.bind(wanted)])]
    outcome = job.run(FromModel(loaded, layers), work, [ridge], cache=cache, budget=2 * 10**9, stages=Silent())
    rows = outcome.rows["ridge"]
    return {
        layer: rows[rows["layer"] == layer][["score", "penalty"]].to_numpy().reshape(5, -1, 2) for layer in layers
    }, splits


@pytest.mark.parametrize(
    ("model", "named"), [("efficientnet-lite0", "efficientnet_lite0"), ("alexnet-trunk", "alexnet")]
)
def test_every_layer_agrees_with_pytorch_and_himalaya(
    model: str, named: str, session: Recording, shared: Path, cache: Path
) -> None:
    """A run of PyTorch features through himalaya in float64, made elsewhere on the same folds."""
    oracle = json.loads((shared / "oracles" / "cowley_190925_pytorch_himalaya.json").read_text())
    layers = oracle["result"]["models"][named]["layers"]
    found, splits = run(session, model, list(layers), cache)
    for split, test in zip(splits, oracle["test_indices"], strict=True):
        np.testing.assert_array_equal(split.test, test)
    equal = total = 0
    for layer, wanted in layers.items():
        chosen = np.array([[int(digit) for digit in fold] for fold in wanted["log10_alpha_per_fold"]])
        same = np.log10(found[layer][..., 1]).round() == chosen
        r = found[layer][..., 0].mean(axis=0)
        everywhere = same.all(axis=0)
        assert np.abs(r - wanted["r_per_unit"])[everywhere].max() < 1e-3, layer
        equal, total = equal + same.sum(), total + same.size
        assert abs(np.median(r) - wanted["median_r"]) < 1e-3 or not everywhere.all()
    # Two penalties whose inner scores differ by rounding may swap; the features are float32 on both sides.
    assert equal / total > 0.995
    medians = {layer: np.median(found[layer][..., 0].mean(axis=0)) for layer in layers}
    assert max(medians, key=medians.__getitem__) == oracle["result"]["models"][named]["best_layer"]


def test_the_best_layer_agrees_with_pytorch_and_himalaya_run_here(session: Recording, cache: Path) -> None:
    """The whole way again with other software: PyTorch forward pass, float64 Gram matrix, himalaya per fold."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'corticalign[parity]'")
    from tests.models.parity import observed
    from tests.models.reference.inverted_residual import lite0

    found, splits = run(session, "efficientnet-lite0", ["block12"], cache)
    network = lite0()
    file = zoo.spec("efficientnet-lite0").weights.source.locate(default_places())
    network.load_state_dict(torch.load(file, weights_only=True))
    network.eval()
    assert session.images is not None
    spec = zoo.spec("efficientnet-lite0")
    shown = pixels(session, spec, View(), Silent())
    block, features = network.where()["block12"], []
    for start in range(0, len(shown), 50):
        batch = (torch.tensor(shown[start : start + 50]).permute(0, 3, 1, 2).float() - 127) / 128
        features.append(observed(network, batch, re.escape(block))[block][1].flatten(1).double().numpy())
    x = np.concatenate(features)
    kernel = x @ x.T
    set_backend("numpy")
    responses = session.responses
    for number, split in enumerate(splits[:2]):
        inner = [
            (np.flatnonzero(~np.isin(split.train, part)), np.flatnonzero(np.isin(split.train, part)))
            for part in split.validation
        ]
        reference = KernelRidgeCV(
            alphas=PENALTIES,
            kernel="precomputed",
            cv=inner,
            fit_intercept=True,
            solver_params={"score_func": r2_score},
        ).fit(kernel[np.ix_(split.train, split.train)], responses[split.train])
        predicted = reference.predict(kernel[np.ix_(split.test, split.train)])
        r = [pearsonr(predicted[:, i], responses[split.test, i])[0] for i in range(responses.shape[1])]
        same = np.isclose(reference.best_alphas_, found["block12"][number, :, 1])
        assert same.mean() > 0.95
        assert np.abs(np.array(r) - found["block12"][number, :, 0])[same].max() < 1e-3


def test_shuffled_responses_of_real_neurons_score_zero(session: Recording, cache: Path) -> None:
    order = np.random.default_rng(0).permutation(len(session.stimuli))
    shuffled = Recording(
        name=session.name,
        stimuli=session.stimuli,
        neuroids=session.neuroids,
        images=session.images,
        averages=session.responses[order],
        licence=session.licence,
        citation=session.citation,
    )
    found, _ = run(shuffled, "alexnet-trunk", ["relu3"], cache)
    # r over 240 held-out images has standard error 1 / sqrt(240) = .065; the mean over 5 folds and median over 36
    # correlated neurons less.
    assert abs(np.median(found["relu3"][..., 0].mean(axis=0))) < 0.065
