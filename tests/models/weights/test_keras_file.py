"""The reader of Keras files: every layout that Keras has written, and nothing outside the file.

The layouts are those of ``save_weights_to_hdf5_group`` and ``save_model_to_hdf5`` in
``keras/src/legacy/saving/legacy_h5_format.py`` (Keras 3) and ``keras/saving/legacy/hdf5_format.py`` (Keras 2).
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import InputError
from models.weights.files import read_tensors

Tensors = dict[str, np.ndarray]

KERNEL = np.random.default_rng(0).standard_normal((3, 3, 2, 4)).astype(np.float32)
CONV: Tensors = {"kernel": KERNEL, "bias": np.arange(4, dtype=np.float16)}
NORM: Tensors = {name: np.full(4, index, np.float32) for index, name in enumerate(("gamma", "beta", "moving_mean"))}
NORM["moving_variance"] = np.arange(4, dtype=np.float32)
WANTED = {f"conv1_conv.{name}": tensor for name, tensor in CONV.items()}
WANTED |= {f"conv1_bn.{name}": tensor for name, tensor in NORM.items()}


def write(group: h5py.Group, layers: Mapping[str, Tensors]) -> None:
    """Layer -> path inside its group -> array. Layers without tensors are listed too."""
    group.attrs["layer_names"] = [name.encode() for name in layers]
    group.attrs["keras_version"] = b"2.4.0"
    for name, tensors in layers.items():
        inside = group.create_group(name)
        inside.attrs["weight_names"] = [path.encode() for path in tensors]
        for path, tensor in tensors.items():
            inside.create_dataset(path, data=tensor)


def made(fill: Callable[[h5py.File], object]) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return stream.getvalue()


def weights(layers: Mapping[str, Tensors]) -> bytes:
    return made(lambda file: write(file, layers))


def layers(path: str) -> dict[str, Tensors]:
    """A network whose tensors lie at ``path``, a format of layer and tensor."""
    parts = {"input_1": {}, "conv1_conv": CONV, "conv1_bn": NORM}
    return {
        layer: {path.format(layer=layer, name=name): tensor for name, tensor in tensors.items()}
        for layer, tensors in parts.items()
    }


def same(found: Tensors, wanted: Tensors) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


@pytest.mark.parametrize(
    "path",
    ["{layer}/{name}:0", "{layer}_3/{name}:0", "{layer}/{name}", "{name}"],
    ids=["TensorFlow", "built again", "Keras 3", "bare"],
)
def test_weights_alone(path: str) -> None:
    same(read_tensors(weights(layers(path)), "net.h5"), WANTED)


def test_weights_of_keras_1() -> None:
    old = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
    named = {
        layer: {f"{layer}_{old.get(name, name)}_1:0": tensor for name, tensor in tensors.items()}
        for layer, tensors in layers("{name}").items()
    }
    same(read_tensors(weights(named), "net.h5"), WANTED)


def test_whole_model() -> None:
    """The description of the model, with code in it, is not even looked at; nor what an optimiser left."""

    def fill(file: h5py.File) -> None:
        file.attrs["model_config"] = b'{"class_name": "Lambda", "config": {"function": ["gASVGQ=="]}} not JSON'
        file.attrs["training_config"] = np.void(b"\x80\x04cposix\nsystem\n(S'false'\ntR.")
        write(file.create_group("model_weights"), layers("{layer}/{name}:0"))
        file.create_group("optimizer_weights").create_dataset("SGD/iter:0", data=1)

    same(read_tensors(made(fill), "net.h5"), WANTED)


def test_models_inside_models_and_tensors_of_the_model_itself() -> None:
    def fill(file: h5py.File) -> None:
        inner = {"stem_conv/kernel:0": KERNEL, "encoder/head/kernel:0": KERNEL[0]}
        write(file, {"backbone": inner, "encoder/block": {"encoder/block/w:0": KERNEL}})
        top = file.create_group("top_level_model_weights")
        top.attrs["weight_names"] = [b"class_token:0"]
        top["class_token:0"] = KERNEL[1]

    found = read_tensors(made(fill), "net.h5")
    names = {"backbone.stem_conv.kernel", "backbone.encoder.head.kernel", "encoder.block.w", "class_token"}
    assert set(found) == names
    np.testing.assert_array_equal(found["class_token"], KERNEL[1])


def test_names_that_one_attribute_cannot_hold() -> None:
    """HDF5 limits an attribute to 64 kB: Keras then numbers several."""

    def fill(file: h5py.File) -> None:
        write(file, layers("{layer}/{name}:0"))
        for group, attribute in ((file, "layer_names"), (file["conv1_bn"], "weight_names")):
            first, second = np.array_split(group.attrs.pop(attribute), 2)
            group.attrs[f"{attribute}0"], group.attrs[f"{attribute}1"] = first, second

    same(read_tensors(made(fill), "net.h5"), WANTED)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.6, 0.9, 0.999])
def test_truncated(share: float) -> None:
    data = weights(layers("{layer}/{name}:0"))
    with pytest.raises(
        InputError, match=r"^cut\.h5: cannot be read as a Keras weight file|^cut\.h5: not a weight file"
    ):
        read_tensors(data[: int(len(data) * share)], "cut.h5")


def test_overwritten_in_the_middle() -> None:
    data = weights(layers("{layer}/{name}:0"))
    for start in range(0, len(data) - 600, 500):
        try:
            found = read_tensors(data[:start] + bytes(600) + data[start + 600 :], "net.h5")
        except InputError:
            continue
        assert found.keys() <= WANTED.keys()  # only values were hit


def test_other_hdf5_files() -> None:
    with pytest.raises(InputError, match=r"mine\.h5: an HDF5 file without Keras's list of layers"):
        read_tensors(made(lambda file: file.create_dataset("layers/conv2d/vars/0", data=KERNEL)), "mine.h5")


def test_layers_numbered_inside_a_layer_stay_apart() -> None:
    inner = {f"block_{index}/kernel:0": np.full(2, index, np.float32) for index in (1, 2)}
    found = read_tensors(weights({"block": inner}), "net.h5")
    assert {name: tensor[0] for name, tensor in found.items()} == {"block.block_1.kernel": 1, "block.block_2.kernel": 2}


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A file may not make us read another one."""
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        write(secret, {"conv": {"kernel": KERNEL}})

    def fill(file: h5py.File) -> None:
        write(file, {"conv": {"bias": KERNEL}})
        file["conv/kernel"] = h5py.ExternalLink(tmp_path / "secret.h5", "/conv/kernel")
        file["norm"] = h5py.ExternalLink(tmp_path / "secret.h5", "/conv")
        file["model_weights"] = h5py.ExternalLink(tmp_path / "secret.h5", "/")

    same(read_tensors(made(fill), "net.h5"), {"conv.bias": KERNEL})


def test_values_outside_the_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    outside = {
        "external": {"shape": (2,), "dtype": "f8", "external": [(str(tmp_path / "secret"), 0, 16)]},
        "huge": {"shape": (1 << 40,), "dtype": "f4", "chunks": (1 << 20,), "compression": "gzip"},
        "never written": {"shape": (2,), "dtype": "f8"},
    }
    for options in outside.values():

        def fill(file: h5py.File, options: dict[str, object] = options) -> None:
            write(file, {"conv": {}})
            file["conv"].attrs["weight_names"] = [b"kernel"]
            file["conv"].create_dataset("kernel", **options)

        with pytest.raises(InputError, match=r"net\.h5: tensor conv/kernel of shape \(\d+,\) is not in the file"):
            read_tensors(made(fill), "net.h5")


@pytest.mark.parametrize("value", [np.array([b"text"]), np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])])
def test_only_numbers(value: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"conv/kernel is no array of numbers"):
        read_tensors(weights({"conv": {"kernel": value}}), "net.h5")
