"""The reader of pickled arrays: equal to pickle.load on arrays, and it runs nothing."""

import builtins
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import InputError
from models.weights.numpy_pickle import read_numpy_pickle

RNG = np.random.default_rng(0)


class Calls:
    """Unpickles to a call of any function."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"])
def test_equals_pickle_load(protocol: int, core: str) -> None:
    tree = {
        "conv": {"kernel": RNG.standard_normal((3, 3, 2, 4)).astype(np.float32), "step": 7},
        "columns first": np.asfortranarray(RNG.standard_normal((3, 5))),
        "big endian": np.arange(6, dtype=">i4"),
        "bytes": [np.arange(4, dtype=np.uint8), np.array([True, False])],
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3)),
    }
    data = pickle.dumps(tree, protocol)
    old, new = b"numpy._core.multiarray", f"{core}.multiarray".encode()
    if protocol == 3:
        data = data.replace(old, new)
    elif core == "numpy.core":
        # protocol 4 states lengths: of the name, and of the frame around it
        data = data.replace(b"\x8c" + bytes([len(old)]) + old, b"\x8c" + bytes([len(new)]) + new)
        frame = int.from_bytes(data[3:11], "little") - (len(old) - len(new))
        data = data[:3] + frame.to_bytes(8, "little") + data[11:]

    read = read_numpy_pickle(data, "file.ckpt")

    expected = {
        "conv/kernel": tree["conv"]["kernel"],
        "columns first": tree["columns first"],
        "big endian": tree["big endian"],
        "bytes/0": tree["bytes"][0],
        "bytes/1": tree["bytes"][1],
        "scalar": tree["scalar"],
        "empty": tree["empty"],
    }
    assert list(read) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


def test_harmful_file_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for function, argument in ((os.system, f"touch {marker}"), (builtins.eval, f"open({str(marker)!r}, 'w')")):
        data = pickle.dumps({"a": np.ones(3), "b": Calls(function, argument)})
        with pytest.raises(InputError, match=rf"bad\.ckpt: refused.*{function.__module__}\.{function.__name__}"):
            read_numpy_pickle(data, "bad.ckpt")
    assert not marker.exists()


def test_objects_are_refused() -> None:
    array = np.array([{"a": 1}, None], dtype=object)
    with pytest.raises(InputError, match=r"array 'x' has elements of type 'O8'"):
        read_numpy_pickle(pickle.dumps({"x": array}, 4), "objects.ckpt")


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated(fraction: float) -> None:
    data = pickle.dumps({"a": np.ones(30), "b": np.ones((4, 4))}, 3)
    with pytest.raises(InputError, match=r"cut\.ckpt: cannot be read"):
        read_numpy_pickle(data[: int(len(data) * fraction)], "cut.ckpt")


def test_shape_that_its_bytes_do_not_fill() -> None:
    data = pickle.dumps({"a": np.ones((2, 3))}, 3).replace(b"K\x02K\x03\x86", b"K\x02K\x09\x86")
    with pytest.raises(InputError, match=r"array 'a' of shape \(2, 9\)"):
        read_numpy_pickle(data, "wrong.ckpt")


def test_reference_outside_the_file() -> None:
    with pytest.raises(InputError, match="refers to data outside of itself"):
        read_numpy_pickle(b"\x80\x03K\x01Q.", "outside.ckpt")
