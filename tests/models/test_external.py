"""Models of the user's own: found by name, checked before anything long, identified by what they answer."""

import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest

from engine.errors import InputError
from models import zoo
from models.external import entry_spec
from models.port import Model, layer_shapes, load

SOURCE = """
import jax.numpy as jnp
from flax import nnx
from models.preprocessing import Preprocessing
from models.spec import ModelSpec

GAIN = 2.0

def doubled(images):
    return {"first": images * GAIN, "pooled": images.mean((1, 2))}

class Net(nnx.Module):
    def __init__(self, seed=0):
        self.kernel = nnx.Param(jnp.full((3, 4), 1.0 + seed))

    def __call__(self, images):
        return {"product": images @ self.kernel[...]}

NET = Net()

def make():
    return Net(seed=1)

SPEC = ModelSpec("mine", "mine", Preprocessing(8, "bilinear", (0, 0, 0), (1, 1, 1)), lambda: None, None, "me")

def listed(images):
    return [images]

def flat(images):
    return {"a": images.reshape(-1)}

def failing(images):
    raise ZeroDivisionError("oh")

NUMBER = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "their_models.py").write_text(textwrap.dedent(SOURCE))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_models", raising=False)
    return "their_models"


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)


def answers(model: Model) -> dict[str, np.ndarray]:
    return {name: np.asarray(layer) for name, layer in jax.jit(model.apply)(model.params, pixels()).items()}


def test_function(package: str) -> None:
    spec = entry_spec(f"{package}:doubled", 8)
    assert layer_shapes(spec) == {"first": (8, 8, 3), "pooled": (3,)}  # in the function's own order
    found = answers(load(spec))
    np.testing.assert_allclose(found["first"], pixels() / 255 * 2, rtol=1e-6)
    np.testing.assert_allclose(found["pooled"], pixels().mean((1, 2)) / 255, rtol=1e-5)


@pytest.mark.parametrize(("name", "gain"), [("NET", 1), ("Net", 1), ("make", 2)])
def test_module_its_class_and_its_factory(package: str, name: str, gain: int) -> None:
    model = load(entry_spec(f"{package}:{name}", 8))
    wanted = np.repeat(pixels().sum(-1, keepdims=True) / 255, 4, -1) * gain
    np.testing.assert_allclose(answers(model)["product"], wanted, rtol=1e-5)
    assert np.asarray(model.params["kernel"]).shape == (3, 4)  # passed to the program, not part of it


def test_whole_specification(package: str) -> None:
    assert entry_spec(f"{package}:SPEC", 224).name == "mine"


def test_identified_by_its_answers(package: str) -> None:
    first, again, other = (load(entry_spec(f"{package}:{name}", 8)) for name in ("Net", "NET", "make"))
    assert first.weights_digest == again.weights_digest
    assert first.weights_digest.startswith("answers ")
    assert other.weights_digest != first.weights_digest


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("doubled", "wanted package.module:name"),
        ("no_such_package:net", "No module named 'no_such_package'"),
        ("their_models:absent", "has no attribute 'absent'"),
        ("their_models:NUMBER", "is a int; wanted"),
        ("their_models:listed", "gives a list; wanted a dictionary"),
        ("their_models:flat", r"first axis is the images \(here 2\); got 'a' \(384,\)"),
        ("their_models:failing", "cannot be run by JAX.*ZeroDivisionError: oh"),
    ],
)
def test_what_cannot_be_a_model(package: str, entry: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        entry_spec(entry, 8)


def test_announced_by_an_installed_package(package: str, tmp_path: Path) -> None:
    """As pip leaves it: a folder with the package's metadata beside its code."""
    metadata = tmp_path / "their_models-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[corticalign.models]\ntheirs = their_models:doubled\nbroken = their_models:absent\n"
    )
    assert zoo.names()[-2:] == ["theirs", "broken"]
    assert tuple(zoo.layer_shapes("theirs")) == ("first", "pooled")
    with pytest.raises(InputError, match="model 'broken', announced as their_models:absent"):
        zoo.spec("broken")
