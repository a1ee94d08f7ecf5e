"""Weight files are fitted completely or not at all, under the names of several kinds of file."""

import numpy as np
import pytest

from engine.errors import InputError
from models.weights.fitting import Wanted, fill
from models.weights.naming import Naming, Tensors

WANTED = {
    "conv.weight": Wanted((3, 5, 2, 4), kernel=True),
    "fc.weight": Wanted((4, 6), kernel=True),
    "fc.bias": Wanted((6,), kernel=False),
    "table": Wanted((2, 5), kernel=False),
}


def joined(tensors: Tensors) -> Tensors:
    parts = [tensors.pop(f"table.{index}") for index in range(2) if f"table.{index}" in tensors]
    return tensors | ({"table": np.stack(parts)} if parts else {})


NAMINGS = {
    "torch": Naming(ignore="steps"),
    "flax": Naming(
        rename=((r"^Dense_0\.", "fc."), (r"^Conv_0\.", "conv."), (r"\.kernel$", ".weight")),
        outputs_first=False,
        convert=joined,
    ),
}


def torch_file() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.standard_normal((4, 2, 3, 5)).astype(np.float16),
        "fc.weight": rng.standard_normal((6, 4)),
        "fc.bias": rng.standard_normal(6),
        "table": rng.standard_normal((2, 5)),
        "steps": np.array(3),
    }


def flax_file() -> dict[str, np.ndarray]:
    """The same tensors as Flax would name and lay them out, and one of them in parts."""
    source = torch_file()
    return {
        "Conv_0.kernel": source["conv.weight"].transpose(2, 3, 1, 0),
        "Dense_0.kernel": source["fc.weight"].T,
        "Dense_0.bias": source["fc.bias"],
        "table.0": source["table"][0],
        "table.1": source["table"][1],
    }


@pytest.mark.parametrize("names", ["torch", None])
def test_kernels_are_reordered_and_nothing_else(names: str | None) -> None:
    source = torch_file()
    filled = fill(WANTED, NAMINGS, names, source, "file")
    assert {name: array.shape for name, array in filled.items()} == {name: want.shape for name, want in WANTED.items()}
    assert {array.dtype for array in filled.values()} == {np.dtype(np.float32)}
    for out, into, row, column in np.ndindex(4, 2, 3, 5):
        assert filled["conv.weight"][row, column, into, out] == source["conv.weight"][out, into, row, column]
    np.testing.assert_array_equal(filled["fc.weight"], source["fc.weight"].astype(np.float32).T)
    np.testing.assert_array_equal(filled["table"], source["table"].astype(np.float32))


@pytest.mark.parametrize("names", ["flax", None])
def test_another_kind_of_file_fills_the_same(names: str | None) -> None:
    filled, wanted = fill(WANTED, NAMINGS, names, flax_file(), "f"), fill(WANTED, NAMINGS, "torch", torch_file(), "t")
    for name in WANTED:
        np.testing.assert_array_equal(filled[name], wanted[name])


def test_every_problem_is_listed_at_once() -> None:
    source = torch_file()
    del source["conv.weight"]
    source |= {"fc.weight": np.zeros((4, 6)), "fc.bias": np.full(6, np.nan), "extra": np.zeros((2, 2))}
    with pytest.raises(InputError) as error:
        fill(WANTED | {"fc.gain": Wanted((6,), kernel=False)}, NAMINGS, None, source, "weights.pth")
    message = str(error.value)
    assert message.startswith("weights.pth: the weights do not fit the model in 5 place(s), read as torch: ")
    for problem in (
        "missing: conv.weight (4, 2, 3, 5)",
        "wrong shape: fc.weight is (4, 6), wanted (6, 4)",
        "not finite: fc.bias",
        "unexpected: extra (2, 2)",
        "missing: fc.gain (6,)",
    ):
        assert problem in message


def test_weights_of_another_model_are_said_to_be_before_they_are_listed() -> None:
    source = {f"other{number}": np.zeros(number + 1) for number in range(300)}
    with pytest.raises(
        InputError, match=r"read as torch: none fits: they are of another model, .*: unexpected: "
    ) as error:
        fill(WANTED, NAMINGS, None, source, "f.pth")
    message = str(error.value)
    assert "in 304 place(s)" in message
    assert message.count("unexpected: ") == 300
    assert message.count("missing: ") == len(WANTED)


def test_unknown_naming() -> None:
    with pytest.raises(InputError, match=r"weights\.names=keras: .* known as torch, flax"):
        fill(WANTED, NAMINGS, "keras", torch_file(), "file")


def test_two_tensors_with_one_name() -> None:
    source = flax_file() | {"fc.bias": np.zeros(6)}
    with pytest.raises(InputError, match=r"'Dense_0\.bias' and 'fc\.bias' are both fc\.bias"):
        fill(WANTED, NAMINGS, "flax", source, "file")
