import numpy as np
import pytest

from engine.errors import InputError
from engine.harmonize.division import Chosen, check_labels, divide
from engine.training.examples import Example, without_map


class Numbers:
    """Ten examples; the label says which."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, number: int, /) -> Example:
        return without_map(np.full((2, 2, 3), number, np.uint8), number)


def test_parts_share_nothing_and_together_are_all() -> None:
    parts = divide(100, 0.1, 0.2, seed=3)
    assert [len(part) for part in parts] == [70, 10, 20]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    assert all((np.diff(part) > 0).all() for part in parts)
    assert not np.array_equal(parts.test, divide(100, 0.1, 0.2, seed=4).test)
    assert len(divide(100, 0.1, 0.0, seed=3).test) == 0


def test_held_out_parts_have_two_at_least() -> None:
    assert [len(part) for part in divide(10, 0.05, 0.05, seed=0)] == [6, 2, 2]
    with pytest.raises(InputError, match="leave none to train on"):
        divide(4, 0.1, 0.1, seed=0)


def test_chosen_examples_keep_their_labels_or_take_those_given() -> None:
    rows = np.array([1, 4, 7])
    assert [example["label"] for example in map(Chosen(Numbers(), rows).__getitem__, range(3))] == [1, 4, 7]
    given = np.arange(10) * 10
    assert [Chosen(Numbers(), rows, given)[n]["label"] for n in range(3)] == [10, 40, 70]
    assert Chosen(Numbers(), rows, given)[2]["image"].max() == 7


def test_labels_that_are_no_class_are_named() -> None:
    check_labels(np.array([0, 4]), 5, "labels")
    with pytest.raises(InputError, match=r"picture number 1 has label 5 \(and 1 more"):
        check_labels(np.array([0, 5, -1]), 5, "labels")
