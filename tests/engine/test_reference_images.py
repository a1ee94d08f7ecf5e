"""Principal components fitted to pictures of their own, from folder to layer summary, against scikit-learn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from PIL import Image
from sklearn.decomposition import PCA

from engine.errors import InputError
from engine.from_model import FromModel
from engine.gram import Summary, raw_gram
from engine.images import ArrayImages
from engine.predictor import Predictor
from engine.principal_components import Components
from engine.recording import Images, Recording
from engine.reference_images import reference_images
from engine.stimuli import View
from models.parts.conv import Conv
from models.port import Port, load
from models.preprocessing import Fit, Preprocessing, normalise, prepare
from models.spec import ModelSpec

STIMULI, REFERENCE, SIZE = 12, 14, 5


class Network(nnx.Module):
    """A random convolution, and what is left of it at each of four channels."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = Conv(3, 4, 3, rngs, stride=2)

    def __call__(self, images: jax.Array) -> dict[str, jax.Array]:
        wide = jax.nn.relu(self.conv(images))
        return {"wide": wide, "narrow": wide.mean((1, 2))}


SPEC = ModelSpec(
    name="random",
    summary="",
    preprocessing=Preprocessing(size=13, interpolation="bilinear", mean=(127.0,) * 3, std=(64.0,) * 3),
    port=lambda: Port(build=Network, layers=("wide", "narrow")),
    weights=None,
    citation="",
)


class Silent:
    def stage(self, name: str, total: int, unit: str) -> Callable[[int], None]:
        return lambda done: None

    def say(self, sentence: str) -> None:
        raise AssertionError(sentence)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures, in folders, beside other files."""
    rng = np.random.default_rng(1)
    inside = tmp_path / "pictures" / "class"
    inside.mkdir(parents=True)
    for index in range(REFERENCE):
        picture = Image.fromarray(rng.integers(0, 256, (20, 16, 3), np.uint8))
        picture.save((inside if index % 2 else inside.parent) / f"{index}.PNG")
    (inside / "labels.txt").write_text("none")
    (inside / "._0.png").write_bytes(b"what a Mac leaves")
    return inside.parent


def shown_images() -> ArrayImages:
    return ArrayImages(np.random.default_rng(2).integers(0, 256, (STIMULI, 15, 15, 3), dtype=np.uint8))


def recording() -> Recording:
    return Recording(
        name="mine",
        stimuli=pd.DataFrame(index=[f"s{i}" for i in range(STIMULI)]),
        neuroids=pd.DataFrame({"region": "V4", "subject": "a"}, index=["n0", "n1"]),
        images=shown_images(),
        licence="",
        citation="",
        averages=np.random.default_rng(3).normal(size=(STIMULI, 2)),
    )


def activations(images: Images, view: View) -> dict[str, np.ndarray]:
    """Layers of each picture, flat."""
    prepared = np.stack([prepare(images[i], SPEC.preprocessing, view.fit) for i in range(len(images))])
    layers = Network(nnx.Rngs(0))(jnp.asarray(normalise(prepared, SPEC.preprocessing)))
    return {name: np.asarray(layer, np.float64).reshape(len(images), -1) for name, layer in layers.items()}


def summaries(predictor: Predictor, cache: Path, budget: int = 10**9) -> dict[str, Summary]:
    made = predictor.summaries(recording(), cache=cache, budget=budget, stages=Silent())
    return {layer.name: layer.summary for layer in made}


# A budget of a few units, so that the wide layer is taken in slices.
@pytest.mark.parametrize(("view", "budget"), [(View(), 10**9), (View("crop"), 4 * 26 * 50)])
def test_equals_scikit_learn(folder: Path, tmp_path: Path, view: View, budget: int) -> None:
    reference = reference_images(folder, SIZE)
    predictor = FromModel(load(SPEC), SPEC.port().layers, view, Components(SIZE, reference))
    found = summaries(predictor, tmp_path, budget)
    shown, fitted = activations(shown_images(), view), activations(reference.images, view)

    pca = PCA(SIZE, random_state=0, svd_solver="full").fit(fitted["wide"])
    scores, theirs = pca.transform(shown["wide"]), pca.transform(fitted["wide"])
    wide = found["wide"]
    assert wide.units == SIZE
    np.testing.assert_allclose(raw_gram(wide), scores @ scores.T, rtol=0, atol=1e-5 * np.abs(scores @ scores.T).max())
    # The sums over components depend on their signs: by the largest score among the fitted pictures.
    signs = np.sign(theirs[np.abs(theirs).argmax(0), np.arange(SIZE)])
    np.testing.assert_allclose(wide.sums, (scores * signs).sum(1), rtol=0, atol=1e-4 * np.abs(scores).max())

    # No more units than components: nothing to reduce.
    narrow = found["narrow"]
    assert narrow.units == 4
    np.testing.assert_allclose(raw_gram(narrow), shown["narrow"] @ shown["narrow"].T, rtol=1e-4)
    np.testing.assert_allclose(narrow.sums, shown["narrow"].sum(1), rtol=1e-5)

    # Kept for another run as they are.
    for layer, summary in summaries(predictor, tmp_path, budget).items():
        np.testing.assert_array_equal(summary.gram, found[layer].gram)


def test_everything_that_changes_the_components_is_in_the_key(folder: Path) -> None:
    def key(size: int = SIZE, fit: Fit = "squash", spec: ModelSpec = SPEC) -> str:
        reduction = Components(size, reference_images(folder, size))
        return str(FromModel(load(spec), ("wide",), View(fit), reduction).key)

    larger = replace(SPEC, preprocessing=replace(SPEC.preprocessing, resize=20))
    keys = [key(), key(size=4), key(fit="crop"), key(spec=larger)]
    (folder / "class" / "labels.txt").write_text("changed")
    assert key() == keys[0]
    Image.fromarray(np.zeros((20, 16, 3), np.uint8)).save(folder / "0.PNG")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_folders_that_cannot_serve(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(reference_images(folder, REFERENCE).images) == REFERENCE
    with pytest.raises(InputError, match=rf"{REFERENCE} pictures .* for {REFERENCE + 1} components"):
        reference_images(folder, REFERENCE + 1)
    with pytest.raises(InputError, match="there is no such folder"):
        reference_images(tmp_path / "nowhere", 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r": 0 pictures"):
        reference_images(tmp_path / "empty", 1)
    monkeypatch.setattr("engine.reference_images.MOST", 3)
    with pytest.raises(InputError, match="give at most 3"):
        reference_images(folder, 1)
