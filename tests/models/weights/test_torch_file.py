"""The reader of PyTorch files: equal to torch.load on what torch.save writes, and it runs nothing."""

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import InputError
from models.weights.torch_file import read_torch

# A legacy file begins with three pickles: magic number, container version, machine.
HEADER = b"".join(
    pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001})
)


def op(value: object) -> bytes:
    """The instructions that put a value on the stack, without the frame around them."""
    return pickle.dumps(value, 2)[2:-1]


def legacy(shape: tuple[int, ...], strides: tuple[int, ...], offset: int, values: np.ndarray) -> bytes:
    """A legacy file with one tensor 'w' whose window on its storage is as given, possible or not."""
    storage = (
        b"(" + op("storage") + b"ctorch\nFloatStorage\n" + op("0") + op("cpu") + op(values.size) + op(None) + b"tQ"
    )
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + op(offset) + op(shape) + op(strides) + b"\x89NtR"
    tree = b"\x80\x02}" + op("w") + rebuild + b"s."
    return HEADER + tree + pickle.dumps(["0"], 2) + np.int64(values.size).tobytes() + values.tobytes()


class Harmful:
    """Runs a command when unpickled by a reader that lets it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def save(request: pytest.FixtureRequest) -> Any:
    """torch.save to bytes, in one of the two containers."""
    torch = pytest.importorskip("torch")

    def to_bytes(tree: object) -> bytes:
        stream = io.BytesIO()
        torch.save(tree, stream, _use_new_zipfile_serialization=request.param)
        return stream.getvalue()

    return to_bytes


def test_equals_torch(save: Any) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(4, 3, 5, 7, generator=generator)
    tree = OrderedDict(
        kernel=kernel,
        transposed=kernel.transpose(0, 2),
        window=kernel[1:3, :, ::2],
        shared=kernel.flatten()[17:29],
        parameter=torch.nn.Parameter(torch.randn(3, generator=generator)),
        scalar=torch.tensor(5),
        empty=torch.zeros(0, 3),
        brain=torch.randn(9, generator=generator).bfloat16(),
        truth=torch.tensor([True, False]),
    )
    for kind in (torch.float16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        tree[str(kind)] = torch.randint(0, 100, (2, 3), generator=generator).to(kind)
    nested = {"state_dict": tree, "epoch": 3, "history": [torch.ones(2), "text"]}

    read = read_torch(save(nested), "file.pth")

    expected = {f"state_dict.{name}": tensor for name, tensor in tree.items()} | {"history.0": torch.ones(2)}
    assert list(read) == list(expected)
    for name, tensor in expected.items():
        wanted = tensor.detach()
        wanted = (wanted.float() if wanted.dtype == torch.bfloat16 else wanted).numpy()
        assert read[name].dtype == wanted.dtype
        np.testing.assert_array_equal(read[name], wanted, strict=True)


def test_state_dict_of_a_module(save: Any) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))  # carries _metadata
    read = read_torch(save(module.state_dict()), "file.pth")
    assert {name: array.shape for name, array in read.items()} == {
        name: tuple(tensor.shape) for name, tensor in module.state_dict().items()
    }


def test_harmful_file_is_refused_and_not_run(save: Any, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(InputError, match=rf"bad\.pth: refused.*'{os.name}\.system'"):
        read_torch(save({"w": Harmful(marker)}), "bad.pth")
    assert not marker.exists()


def test_whole_module_is_refused(save: Any) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"refused.*'torch\.nn\.modules\.linear\.Linear'"):
        read_torch(save(torch.nn.Linear(2, 2)), "module.pth")


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.1, 0.3, 0.6, 0.95, 0.999])
def test_truncated(save: Any, fraction: float) -> None:
    torch = pytest.importorskip("torch")
    data = save({"w": torch.ones(50), "v": torch.ones(20, 3)})
    with pytest.raises(InputError, match=r"cut\.pth: (truncated|cannot be read)"):
        read_torch(data[: int(len(data) * fraction)], "cut.pth")


def test_handmade_legacy_file() -> None:
    values = np.arange(12, dtype=np.float32)
    read = read_torch(legacy((2, 3), (1, 2), 4, values), "made.pth")
    np.testing.assert_array_equal(read["w"], [[4, 6, 8], [5, 7, 9]])


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((2, 3), (3, 1), 7), ((4,), (-1,), 8), ((4,), (1,), -2), ((10**12,), (0,), 0), ((-1, -5), (1, 1), 0)],
)
def test_window_outside_its_storage(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> None:
    with pytest.raises(InputError, match=r"'w'.*reaches outside its storage of 12 elements"):
        read_torch(legacy(shape, strides, offset, np.zeros(12, np.float32)), "made.pth")


@pytest.mark.parametrize("name", ["torch._utils\n_rebuild_tensor_v2", "torch\nFloatStorage"])
@pytest.mark.parametrize("state", [{"__call__": 1}, (None, {"__call__": 1})], ids=["attributes", "slots"])
def test_what_the_reader_puts_for_a_global_cannot_be_altered(name: str, state: object) -> None:
    altering = b"\x80\x02c" + name.encode() + b"\n" + op(state) + b"b."
    with pytest.raises(InputError, match=r"attack\.pth: cannot be read"):
        read_torch(HEADER + altering + pickle.dumps([], 2), "attack.pth")


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", pickle.dumps({"a": 1}), b"PK\x03\x04" + bytes(40)])
def test_other_kinds_of_file(data: bytes) -> None:
    with pytest.raises(InputError, match=r"odd\.pth: cannot be read as a PyTorch checkpoint"):
        read_torch(data, "odd.pth")


def test_big_endian_is_refused() -> None:
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": False}))
    with pytest.raises(InputError, match="big-endian"):
        read_torch(head, "big.pth")
