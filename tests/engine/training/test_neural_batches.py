"""Which stimuli and responses a batch holds, in an order that can be left off and taken up."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import InputError
from engine.training.batches import Order
from engine.training.neural_batches import Joined, NeuralData, neural_batches, neural_data
from engine.training.neural_controls import shuffled, surrogate
from engine.training.partition import HeldOut, Partition, partition
from tests.engine.training.sessions import pictures, session

SHOWN = [pictures(40, 1), pictures(30, 2)]
RECORDINGS = [session("1", "ann", SHOWN[0], 5, regions=("V4", "IT")), session("2", "bea", SHOWN[1], 3)]
ORDER = Order(batch=8, seed=4)


def parts() -> Partition:
    return partition(RECORDINGS, HeldOut(0.2, 0.34), SHOWN)


def data(control: str | None = None) -> NeuralData:
    return neural_data(RECORDINGS, SHOWN, parts().trained, ["V4"], control)


def test_the_table_holds_the_responses_to_each_picture() -> None:
    found, trained = data(), parts().trained
    table = found.responses["V4"]
    assert table.shape == (32 + 24, 3 + 2)
    assert table.dtype == np.float32
    assert np.isnan(table[:32, 3:]).all()
    assert np.isnan(table[32:, :3]).all()
    for row in range(len(table)):
        recording, first = (0, 0) if row < 32 else (1, 32)
        part = trained[recording]
        stimulus = part.stimuli[row - first]
        np.testing.assert_array_equal(found.images[row], SHOWN[recording][stimulus])
        v4 = [j for j in part.neuroids if RECORDINGS[recording].neuroids["region"].iloc[j] == "V4"]
        wanted = RECORDINGS[recording].responses[stimulus, v4].astype(np.float32)
        np.testing.assert_array_equal(table[row, :3] if row < 32 else table[row, 3:], wanted)


def test_a_batch_is_of_one_recording_and_a_pass_shows_each_stimulus_once() -> None:
    found = data()
    place = {picture.tobytes(): row for row, picture in enumerate(found.images)}
    batches = neural_batches(found, ORDER)
    orders = []
    for number in range(2):
        shown = []
        for step in range(7):
            batch = next(batches)
            rows = [place[picture.tobytes()] for picture in batch["neural_image"]]
            assert len({found.recordings[row] for row in rows}) == 1
            np.testing.assert_array_equal(batch["neural_response:V4"], found.responses["V4"][rows])
            np.testing.assert_array_equal(batch["neural_step"], np.full(8, 7 * number + step, np.int32))
            shown += rows
        assert sorted(shown) == list(range(56))
        orders.append(shown)
    assert orders[0] != orders[1]


def test_left_off_and_taken_up_the_order_goes_on() -> None:
    task = [{"image": np.array([n])} for n in range(100)]

    class Task:
        """Anything with a state."""

        def __init__(self) -> None:
            self.at = 0

        def __iter__(self) -> "Task":
            return self

        def __next__(self) -> dict[str, np.ndarray]:
            self.at += 1
            return task[self.at - 1]

        def get_state(self) -> dict[str, int]:
            return {"at": self.at}

        def set_state(self, state: dict[str, int]) -> None:
            self.at = state["at"]

    def fresh() -> Joined:
        return Joined(Task(), neural_batches(data(), ORDER))

    whole = list(itertools.islice(fresh(), 12))
    first = fresh()
    for _ in range(5):
        next(first)
    state = json.loads(json.dumps(first.get_state()))
    second = fresh()
    second.set_state(state)
    for wanted, found in zip(whole[5:], second, strict=False):
        assert set(found) == {"image", "neural_image", "neural_response:V4", "neural_step"}
        for key, array in wanted.items():
            np.testing.assert_array_equal(found[key], array)
    other = next(neural_batches(data(), ORDER._replace(seed=5)))
    assert not np.array_equal(other["neural_image"], whole[0]["neural_image"])


def test_the_batches_of_two_processes_are_those_of_one() -> None:
    whole = neural_batches(data(), ORDER)
    halves = [neural_batches(data(), ORDER._replace(process=p, processes=2)) for p in (0, 1)]
    for _ in range(3):
        wanted, first, second = next(whole), *(next(half) for half in halves)
        for key in wanted:
            np.testing.assert_array_equal(np.concatenate([first[key], second[key]]), wanted[key])


def test_controls_change_the_responses_of_each_part_alone() -> None:
    true, part = data(), parts().trained[1]
    own = RECORDINGS[1].responses[np.ix_(part.stimuli, part.neuroids)]
    for name, control in (("shuffled", shuffled), ("surrogate", surrogate)):
        found = data(name)
        np.testing.assert_array_equal(found.images, true.images)
        np.testing.assert_array_equal(found.responses["V4"][32:, 3:], control(own, seed=1).astype(np.float32))
        np.testing.assert_array_equal(np.isnan(found.responses["V4"]), np.isnan(true.responses["V4"]))
        assert not np.isclose(found.responses["V4"], true.responses["V4"]).all(axis=1).any()


def test_what_is_refused() -> None:
    trained = parts().trained
    with pytest.raises(InputError, match="did you mean V4"):
        neural_data(RECORDINGS, SHOWN, trained, ["V5"])
    with pytest.raises(InputError, match="sim/2' has no neuroids of IT"):
        neural_data(RECORDINGS, SHOWN, trained, ["IT"])
    with pytest.raises(InputError, match="did you mean shuffled"):
        neural_data(RECORDINGS, SHOWN, trained, ["V4"], "shuffle")
    gap = RECORDINGS[1].responses.copy()
    gap[trained[1].stimuli[0], trained[1].neuroids[0]] = np.nan
    with pytest.raises(InputError, match="recording 'sim/2': 1 of 2 neuroids lack responses"):
        neural_data([RECORDINGS[0], replace(RECORDINGS[1], averages=gap)], SHOWN, trained, ["V4"], "surrogate")
    for order, message in (
        (Order(batch=3), "at least 4"),
        (Order(batch=30), "sim/2' has 24 stimuli"),
        (Order(batch=9, processes=2), "divided among 2"),
    ):
        with pytest.raises(InputError, match=message):
            neural_batches(data(), order)
