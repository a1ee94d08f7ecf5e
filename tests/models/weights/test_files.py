"""Weight files of every kind give the tensors that were put in; wrappers come off; nothing in them runs."""

import io
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.numpy

from engine.errors import InputError
from models.weights.files import read_tensors, unwrapped


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"a.weight": rng.standard_normal((2, 3)).astype(np.float32), "a.bias": np.arange(3, dtype=np.float16)}


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_safetensors() -> None:
    same(read_tensors(safetensors.numpy.save(tensors()), "file"), tensors())


def test_safetensors_of_torch_with_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    values = torch.linspace(-3, 3, 7).to(torch.bfloat16)
    found = read_tensors(save({"x": values}), "file")["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.float().numpy())


def test_npz() -> None:
    stream = io.BytesIO()
    np.savez(stream, **{name.replace(".", "/"): tensor for name, tensor in tensors().items()})
    same(read_tensors(stream.getvalue(), "file"), tensors())


def test_npz_with_a_pickle_inside_is_refused() -> None:
    stream = io.BytesIO()
    np.savez(stream, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"weights\.npz: cannot be read as an npz archive of arrays"):
        read_tensors(stream.getvalue(), "weights.npz")


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_checkpoint_as_training_scripts_write_it(legacy: bool) -> None:
    torch = pytest.importorskip("torch")
    state = OrderedDict((f"module.{name}", torch.from_numpy(tensor)) for name, tensor in tensors().items())
    optimiser = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
    stream = io.BytesIO()
    whole = {"epoch": 90, "arch": "resnet50", "state_dict": state, "optimizer": optimiser}
    torch.save(whole, stream, _use_new_zipfile_serialization=not legacy)
    same(read_tensors(stream.getvalue(), "file"), tensors())


def test_wrappers_come_off_one_after_another() -> None:
    wrapped = {f"model.state_dict.module.{name}": tensor for name, tensor in tensors().items()} | {"step": np.array(1)}
    same(unwrapped(wrapped), tensors())


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_pickle_that_calls_something_is_refused() -> None:
    with pytest.raises(InputError, match=r"posix\.system|nt\.system"):
        read_tensors(pickle.dumps({"weight": Runs()}), "file")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"PK\x03\x04 cut", bytes(100)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"mine\.bin: not a weight file of a kind that is read here: .*\.safetensors"):
        read_tensors(data, "mine.bin")


def test_cut_safetensors() -> None:
    with pytest.raises(InputError, match="cannot be read as a safetensors file"):
        read_tensors(safetensors.numpy.save(tensors())[:-4], "file")
