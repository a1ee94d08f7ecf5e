"""What is trained on and what is scored: nothing on both sides, and scores as scikit-learn finds them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from engine.cotrain.division import Divided, divide, standardised
from engine.cotrain.held_out import Judge, cuts
from engine.cotrain.plan import Plan
from engine.cotrain.task import ArrayExamples, folder_as_task
from engine.errors import InputError
from engine.metrics import catalogue
from engine.splits import kfold
from engine.training.co_training import Term
from engine.training.course import Course
from engine.training.neural_batches import NeuralData
from engine.training.partition import HeldOut, partition
from models import zoo
from models.port import load
from tests.engine.training.sessions import pictures, session

SIZE, LAYER = 32, "V2.output-t0"
SPEC = zoo.spec("cornet-z")
SPEC = replace(SPEC, preprocessing=replace(SPEC.preprocessing, size=SIZE))
RIDGE = catalogue.ridge((10.0,), False, "r2", "neuroid", None)
PLAN = Plan(
    course=Course(
        steps=1,
        batch=2,
        every=1,
        keep=1,
        frozen_statistics=True,
        ema=None,
        remat=False,
        seed=0,
    ),
    terms=[Term(LAYER, "V4")],
    held_out=HeldOut(0.25, 0.0, {"subject": ["B"]}, 3),
    selection=0.2,
    best=False,
    control=None,
    standardise=True,
    layers=[LAYER],
    task_weight=0.0,
    smallest_view=1.0,
    largest_view=1.0,
    neural_batch=4,
)


def shown(small: np.ndarray) -> np.ndarray:
    """Pictures of the sessions as a model takes them."""
    return small.repeat(SIZE // small.shape[1], axis=1).repeat(SIZE // small.shape[2], axis=2)


def folds(recording: Any) -> Any:
    groups = None if recording.group is None else list(recording.stimuli[recording.group])
    return kfold(len(recording.stimuli), folds=3, seed=0, groups=groups)


def divided() -> tuple[list[np.ndarray], Divided]:
    """Two sessions of one subject and one of another, which share pictures under other ids, one of them twice."""
    first, second, other = pictures(60, 1), pictures(60, 2), pictures(60, 3)
    second[:20] = first[:20]
    other[:10] = first[:10]
    other[10:15] = second[30:35]
    other[59] = other[58]
    small = [first, second, other]
    names = zip(("1", "2", "3"), "AAB", small, strict=True)
    recordings = [session(name, subject, each, 6) for name, subject, each in names]
    images = [shown(each) for each in small]
    return images, divide(recordings, images, PLAN, SPEC, RIDGE, folds)


def names(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_no_picture_is_trained_on_and_scored() -> None:
    images, found = divided()
    trained, held_out = names(found.data.images), names(found.held_out)
    selection = set().union(*(names(cut.images) for cut in found.selection._parts))
    assert not trained & held_out
    assert not selection & held_out
    assert not selection & trained
    assert trained | selection | held_out <= set().union(*map(names, images))
    assert len(trained) >= 40
    assert len(selection) >= 10
    # Those of subject B that are shown to A as well are scored only where they are not trained on.
    assert len(names(images[2]) & held_out) < len(names(images[2]))
    assert found.data.names == ("sim/1", "sim/2")
    assert found.counts["new neuroids"] == 6
    assert found.counts["neuroids trained on"] == 12


def test_the_same_picture_is_not_on_both_sides_of_a_fold() -> None:
    _, found = divided()
    (other,) = [cut for cut in found.test._parts if cut.recording.name == "sim/3"]
    assert other.recording.group == "picture"
    twice = other.recording.stimuli["picture"].duplicated(keep=False).to_numpy()
    assert twice.sum() == 2
    for split in folds(other.recording):
        assert twice[split.test].sum() in (0, 2)


def test_responses_are_standardised_over_the_stimuli_trained_on() -> None:
    _, found = divided()
    table = found.data.responses["V4"].astype(np.float64)
    np.testing.assert_allclose(np.nanmean(table, axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(table, axis=0), 1, atol=1e-6)
    flat = np.array([[2.0, np.nan, 1.0], [2.0, np.nan, 3.0]], np.float32)
    data = NeuralData(np.zeros((2, 1, 1, 3), np.uint8), {"V4": flat}, np.zeros(2, int), ("r",))
    np.testing.assert_array_equal(standardised(data).responses["V4"], [[0, np.nan, -1], [0, np.nan, 1]])


def test_scores_are_those_of_scikit_learn() -> None:
    small = pictures(40, 7)
    recordings = [session("1", "A", small, 3), session("2", "B", pictures(20, 8), 2)]
    images = [shown(small), shown(pictures(20, 8))]
    parts = partition(recordings, HeldOut(0.6, 0.0, {"subject": ["B"]}), images)
    spec, layer = zoo.spec("pixels"), "pixels.grey"  # any model will do, and this one takes no time
    spec = replace(spec, preprocessing=replace(spec.preprocessing, size=SIZE))
    judge = Judge(spec, [layer], cuts(recordings, images, parts), ["V4"], RIDGE, folds)
    model = load(spec)
    rows = judge(model)
    assert rows.groupby("recording", sort=False)["trained"].agg(["all", "any"]).to_numpy().tolist() == [
        [True, True],
        [False, False],
    ]
    own = dict(zip(("sim/1", "sim/2"), (parts.new_stimuli[0], parts.held_out[0]), strict=True))
    for number, (name, part) in enumerate(own.items()):
        x = np.asarray(model.apply(model.params, images[number][part.stimuli])[layer], np.float64)
        x = x.reshape(len(x), -1)
        y = recordings[number].responses[part.stimuli]
        wanted = []
        for split in kfold(len(x), folds=3, seed=0):
            predicted = Ridge(10.0).fit(x[split.train], y[split.train]).predict(x[split.test])
            pairs = zip(predicted.T, y[split.test].T, strict=True)
            wanted.append([np.corrcoef(*pair)[0, 1] for pair in pairs])
        mine = rows[rows["recording"] == name]["score"]
        np.testing.assert_allclose(mine, np.mean(wanted, axis=0), atol=1e-4)  # float32 activations


def test_task_pictures_that_are_held_out_are_left_out() -> None:
    images = shown(pictures(10, 4))
    source = ArrayExamples(images, np.arange(10))

    def brightness(given: np.ndarray) -> np.ndarray:
        return given.reshape(len(given), -1).sum(axis=1) % 7

    task = folder_as_task(source, images, images[2:5], brightness, 0.2, 0)
    trained = [task.train[number] for number in range(len(task.train))]
    assert not {example["image"].tobytes() for example in trained} & names(images[2:5])
    assert not {example["image"].tobytes() for example in trained} & names(task.test)
    assert len(task.test) == 2
    assert [example["label"] for example in trained] == brightness(
        np.stack([example["image"] for example in trained])
    ).tolist()
    with pytest.raises(InputError, match="all task pictures are held-out stimuli"):
        folder_as_task(source, images, images, brightness, 0.2, 0)
