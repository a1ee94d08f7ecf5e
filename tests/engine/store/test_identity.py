from typing import Any

import numpy as np
import pytest

from engine import store
from engine.store import identity

PARTS: dict[str, Any] = {
    "predictor": {"model": "m", "weights": "abc"},
    "names": {"model": "m", "recording": "r"},
    "layers": ["a", "b"],
    "stimuli": "s",
    "responses": ["t"],
    "regions": ["V4"],
    "folds": "f",
    "ceiling": ["split_half", None],
    "metric": ["ridge", "1", {"penalties": [1.0]}],
}


def test_key_depends_on_content_not_on_order() -> None:
    assert store.key({"a": 1, "b": [1, 2]}) == store.key({"b": [1, 2], "a": 1})
    assert store.key({"a": 1}) != store.key({"a": 2})


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("predictor", {"model": "m", "weights": "abd"}),
        ("names", {"model": "m", "recording": "q"}),
        ("layers", ["b", "a"]),
        ("stimuli", "u"),
        ("responses", ["u"]),
        ("regions", ["V4", "IT"]),
        ("folds", "g"),
        ("ceiling", ["split_half", 0.3]),
        ("metric", ["ridge", "1", {"penalties": [2.0]}]),
        ("metric", ["ridge", "2", {"penalties": [1.0]}]),
    ],
)
def test_everything_that_changes_a_number_changes_the_key(name: str, other: object) -> None:
    assert store.key(identity.result_parts(**PARTS)) != store.key(identity.result_parts(**(PARTS | {name: other})))


def test_folds_are_told_apart_by_every_index() -> None:
    first, second = np.arange(4), np.arange(4, 6)
    whole = [(first, second, (first[:2], first[2:]))]
    others = [
        [(first, second, None)],
        [(first, second, (first[:1], first[1:]))],
        [(first[::-1], second, (first[:2], first[2:]))],
        [*whole, *whole],
    ]
    digests = {identity.folds(each) for each in [whole, *others]}
    assert len(digests) == 5
    assert identity.folds([(first.astype(np.int32), second, (first[:2], first[2:]))]) == identity.folds(whole)
