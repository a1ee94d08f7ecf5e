"""The order of examples, resuming, sharding, and that picture and map always show the same part."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from engine.errors import InputError
from engine.training.batches import (
    SECOND,
    Batch,
    Batches,
    Order,
    evaluation_batches,
    most_of_first,
    pair_batches,
    training_batches,
)
from engine.training.examples import Example, without_map
from models.preprocessing import Preprocessing, prepare

SMALL = Preprocessing(16, "bilinear", (0, 0, 0), (1, 1, 1), resize=20)


class Numbered:
    """Grey slopes, whose label tells the example, of different shapes; the map is the picture."""

    def __init__(self, count: int, first: int = 0, mapped: bool = False) -> None:
        self._count, self._first, self._mapped = count, first, mapped

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int, /) -> Example:
        if not 0 <= number < self._count:
            raise IndexError(number)
        label = self._first + number
        rows, columns = np.mgrid[: 20 + label % 7, : 24 + label % 5]
        grey = (3 * rows + 5 * columns + label % 20).astype(np.uint8)
        image = np.repeat(grey[..., None], 3, axis=2)
        if not self._mapped:
            return without_map(image, label)
        return Example(image=image, label=label, map=grey.astype(np.float32), has_map=1.0)


class Broken(Numbered):
    def __getitem__(self, number: int, /) -> Example:
        raise InputError("picture 3 is broken")


def as_given(maps: np.ndarray, size: int) -> np.ndarray:
    assert maps.shape[1:] == (size, size)
    return maps


def take(batches: Batches, count: int) -> list[Batch]:
    return [next(batches) for _ in range(count)]


def assert_equal(found: Sequence[Batch], wanted: Sequence[Batch]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].dtype == other[name].dtype
            np.testing.assert_array_equal(one[name], other[name])


def harmonizer(order: Order) -> Batches:
    sources = [Numbered(12, mapped=True), Numbered(33, first=100)]
    return training_batches(sources, [0.2, 0.8], SMALL, order, as_given)


@pytest.mark.parametrize(("share", "batch"), [(0.2, 10), (0.2, 8), (0.3, 7), (0.15, 16), (0.7, 5), (0.01, 6)])
def test_no_batch_holds_more_of_the_first_source_than_said_and_one_holds_as_many(share: float, batch: int) -> None:
    sources, weights = [Numbered(12), Numbered(33, first=100)], [share, 1 - share]
    found = take(training_batches(sources, weights, SMALL, Order(batch)), 24)
    assert max((each["label"] < 100).sum() for each in found) == most_of_first(weights, batch)


def test_sources_alternate_in_exact_proportions_and_every_pass_is_complete() -> None:
    batches = take(harmonizer(Order(batch=10, seed=3)), 12)
    labels = np.concatenate([batch["label"] for batch in batches])
    has_map = np.concatenate([batch["has_map"] for batch in batches])
    np.testing.assert_array_equal(has_map == 1, labels < 100)
    np.testing.assert_array_equal(has_map.reshape(-1, 5).sum(axis=1), np.ones(24))  # one in five, always
    mapped, others = labels[labels < 100], labels[labels >= 100]
    passes = mapped.reshape(2, 12)
    for one in passes:
        assert sorted(one) == list(range(12))
    assert list(passes[0]) != list(passes[1])  # shuffled anew
    for first in (0, 33):
        assert sorted(others[first : first + 33]) == list(range(100, 133))
    assert list(others[:33]) != list(others[33:66])


def test_batches_are_what_models_and_losses_take() -> None:
    batch = next(harmonizer(Order(batch=10)))
    assert {name: (array.dtype.name, array.shape) for name, array in batch.items()} == {
        "image": ("uint8", (10, 16, 16, 3)),
        "label": ("int32", (10,)),
        "map": ("float32", (10, 16, 16)),
        "has_map": ("float32", (10,)),
    }
    assert (batch["map"][batch["has_map"] == 0] == 0).all()
    assert "map" not in next(training_batches([Numbered(5)], [1], SMALL, Order(batch=2)))


def test_picture_and_map_show_the_same_part_mirrored_alike() -> None:
    source = Numbered(40, mapped=True)
    mirrored = 0
    seen = set()
    for batch in take(training_batches([source], [1], SMALL, Order(batch=20, seed=1), as_given), 4):
        # A picture is rounded to whole grey levels after its columns and after its rows, a map is not.
        assert np.abs(batch["image"][..., 0] - batch["map"]).max() <= 1
        mirrored += int((batch["map"][:, 8, 0] > batch["map"][:, 8, -1]).sum())
        seen |= {tuple(np.round(one[8, [0, -1]])) for one in batch["map"]}
    assert 20 < mirrored < 60  # of 80; beyond six standard deviations of a fair coin nearly
    assert len(seen) > 60


def test_the_map_is_prepared_as_cut_and_mirrored_afterwards() -> None:
    def ramp(maps: np.ndarray, size: int) -> np.ndarray:
        return np.broadcast_to(np.arange(size, dtype=np.float64), (len(maps), size, size))

    source = Numbered(30, mapped=True)
    batch = next(training_batches([source], [1], SMALL, Order(batch=30), ramp))
    for image, prepared in zip(batch["image"], batch["map"], strict=True):
        upward = image[8, 0, 0] < image[8, -1, 0]  # the slope rises to the right unless mirrored
        np.testing.assert_array_equal(prepared[0], np.arange(16) if upward else np.arange(16)[::-1])


def test_taken_up_in_the_middle_of_a_pass_gives_identical_batches() -> None:
    order = Order(batch=10, seed=5)
    wanted = take(harmonizer(order), 9)
    batches = harmonizer(order)
    assert_equal(take(batches, 4), wanted[:4])
    state = json.loads(json.dumps(batches.get_state()))
    next(batches)
    other = harmonizer(order)
    other.set_state(state)
    assert_equal(take(other, 5), wanted[4:])
    batches.set_state(state)  # going back works as well
    assert_equal(take(batches, 5), wanted[4:])
    assert_equal(take(harmonizer(order._replace(threads=1)), 2), wanted[:2])


def test_another_seed_gives_another_order_and_other_views() -> None:
    one, other = (next(harmonizer(Order(batch=20, seed=seed))) for seed in (0, 1))
    assert list(one["label"]) != list(other["label"])
    alone = [next(training_batches([Numbered(1)], [1], SMALL, Order(batch=1, seed=seed))) for seed in (0, 1)]
    assert (alone[0]["image"] != alone[1]["image"]).any()


@pytest.mark.parametrize("processes", [2, 5])
def test_the_processes_batches_together_are_those_of_one(processes: int) -> None:
    whole = take(harmonizer(Order(batch=10, seed=2)), 3)
    shares = [take(harmonizer(Order(10, 2, process, processes)), 3) for process in range(processes)]
    for step, wanted in enumerate(whole):
        joined = {name: np.concatenate([share[step][name] for share in shares]) for name in wanted}
        assert_equal([joined], [wanted])


def test_evaluation_goes_once_through_the_source_in_order_as_scoring_prepares_it() -> None:
    source = Numbered(11, mapped=True)

    def shape_told(maps: np.ndarray, size: int) -> np.ndarray:
        return np.full((1, size, size), maps.shape[1] * 100 + maps.shape[2])

    batches = list(evaluation_batches(source, SMALL, 4, shape_told))
    assert [len(batch["label"]) for batch in batches] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate([batch["label"] for batch in batches]), np.arange(11))
    images = np.concatenate([batch["image"] for batch in batches])
    maps = np.concatenate([batch["map"] for batch in batches])
    for number in range(11):
        np.testing.assert_array_equal(images[number], prepare(source[number]["image"], SMALL))
        height, width = source[number]["map"].shape
        assert (maps[number] == height * 100 + width).all()
    second = list(evaluation_batches(source, SMALL, 4, process=1, processes=2))
    np.testing.assert_array_equal(np.concatenate([batch["label"] for batch in second]), [1, 3, 5, 7, 9])


def test_of_a_cropped_picture_the_map_keeps_the_middle() -> None:
    source = Numbered(1, mapped=True)  # 20 x 24, of which the middle 16 x 16 are shown at their own size

    def kept(maps: np.ndarray, size: int) -> np.ndarray:
        return maps

    batch = next(evaluation_batches(source, SMALL, 1, kept, fit="crop"))
    np.testing.assert_array_equal(batch["map"][0], batch["image"][0, ..., 0])


def test_pairs_are_two_views_of_one_picture_and_repeatable() -> None:
    batches = pair_batches([Numbered(6)], [1], SMALL, Order(batch=6))
    first = next(batches)
    assert first[SECOND].shape == first["image"].shape == (6, 16, 16, 3)
    assert first[SECOND].dtype == np.uint8
    assert sorted(first["label"]) == list(range(6))
    assert all((one != other).any() for one, other in zip(first["image"], first[SECOND], strict=True))
    again = pair_batches([Numbered(6)], [1], SMALL, Order(batch=6))
    assert_equal([next(again)], [first])
    again.set_state(batches.get_state())
    assert_equal(take(again, 2), take(batches, 2))


@pytest.mark.parametrize(
    ("sources", "weights", "order", "message"),
    [
        ([], [], Order(1), "0 sources of examples with 0 weights"),
        ([Numbered(3)], [1, 2], Order(1), "1 sources of examples with 2 weights"),
        ([Numbered(3), Numbered(3)], [1, 0], Order(1), "weights 1, 0 of the sources; wanted all of them above 0"),
        ([Numbered(3), Numbered(0)], [1, 1], Order(1), "source 1 of examples is empty"),
        ([Numbered(3)], [1], Order(10, processes=3), "10 examples cannot be divided among 3 processes"),
        ([Numbered(3)], [1], Order(10, process=2, processes=2), "in process 2 of 2"),
        ([Numbered(3)], [1], Order(0), "a batch of 0 examples"),
    ],
)
def test_impossible_settings_are_refused_at_once(
    sources: list[Numbered], weights: list[float], order: Order, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        training_batches(sources, weights, SMALL, order)


def test_a_broken_picture_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="picture 3 is broken"):
        next(training_batches([Broken(4)], [1], SMALL, Order(batch=2)))
    with pytest.raises(InputError, match="picture 3 is broken"):
        next(evaluation_batches(Broken(4), SMALL, 2))
