"""Stimuli lie on the model's field of view where Brain-Score puts them, to the pixel, and every key knows it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flax import nnx
from PIL import Image

from engine import job
from engine.errors import InputError
from engine.field_of_view import check_known, place
from engine.from_model import FromModel
from engine.images import ArrayImages
from engine.metrics import catalogue
from engine.recording import Recording
from engine.splits import kfold
from engine.stimuli import View, pixels
from engine.target import target
from models.port import Port, load
from models.preprocessing import Preprocessing, prepare
from models.spec import ModelSpec


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def on_screen(image: np.ndarray, stimulus: float, model: float) -> np.ndarray:
    """Brain-Score's place_on_screen in Pillow's terms: width before height, colours by name, NumPy's rounding."""
    pil = Image.fromarray(image)
    old = np.array(pil.size)
    new = np.rint((model / stimulus) * old).astype(int)
    if model < stimulus:
        left, upper = np.rint((old - new) / 2).astype(int).tolist()
        return np.asarray(pil.crop((left, upper, left + int(new[0]), upper + int(new[1]))))
    screen = Image.new("RGB", (int(new[0]), int(new[1])), "gray")
    screen.paste(pil, tuple(np.rint((new - old) / 2).astype(int).tolist()))
    return np.asarray(screen)


@pytest.mark.parametrize("shape", [(12, 12), (17, 9), (10, 31), (1, 3)])
@pytest.mark.parametrize("degrees", [(8, 8), (8, 10), (10, 8), (4, 8), (2.9, 8), (8, 7.3), (6, 8), (12, 6.5)])
def test_equals_brain_score(shape: tuple[int, int], degrees: tuple[float, float]) -> None:
    image = picture(*shape)
    wanted = on_screen(image, *degrees)
    np.testing.assert_array_equal(place(image, *degrees), wanted)


@pytest.mark.parametrize(
    ("side", "degrees", "canvas", "offset"),
    [
        (10, (8, 10), 12, 1),  # 12.5 to the even neighbour; (12 - 10) / 2
        (6, (8, 10), 8, 1),  # 7.5 likewise
        (5, (5, 8), 8, 2),  # 1.5 to 2
        (8, (8, 9), 9, 0),  # 0.5 to 0
        (256, (8, 16), 512, 128),
    ],
)
def test_a_wider_field_is_grey_around_the_stimulus(
    side: int, degrees: tuple[float, float], canvas: int, offset: int
) -> None:
    image = picture(side, side)
    seen = place(image, *degrees)
    assert seen.shape == (canvas, canvas, 3)
    assert seen.dtype == np.uint8
    inside = np.zeros((canvas, canvas), bool)
    inside[offset : offset + side, offset : offset + side] = True
    np.testing.assert_array_equal(seen[inside].reshape(image.shape), image)
    assert (seen[~inside] == 128).all()


@pytest.mark.parametrize(
    ("side", "degrees", "cut", "offset"),
    [
        (10, (10, 8), 8, 1),
        (5, (10, 8), 4, 0),  # 0.5 to 0
        (10, (10, 7), 7, 2),  # 1.5 to 2
        (10, (8, 2), 2, 4),  # 2.5 pixels to 2
        (1855, (10, 8), 1484, 186),  # 185.5 to 186
    ],
)
def test_a_narrower_field_is_the_centre(side: int, degrees: tuple[float, float], cut: int, offset: int) -> None:
    image = picture(side, side)
    wanted = image[offset : offset + cut, offset : offset + cut]
    np.testing.assert_array_equal(place(image, *degrees), wanted)


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(InputError, match="would become 0 x 0 pixels"):
        place(picture(10, 10), 8, 0.1)
    with pytest.raises(InputError, match="would become 180000 x 180000 pixels"):
        place(picture(10, 10), 0.01, 180)


SPEC = ModelSpec(
    name="means",
    summary="",
    preprocessing=Preprocessing(size=14, interpolation="bilinear", mean=(127.0,) * 3, std=(64.0,) * 3),
    port=lambda: Port(build=Means, layers=("pixels",)),
    weights=None,
    citation="",
)


class Means(nnx.Module):
    """Its one layer is what it is given."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        pass

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {"pixels": images}


class Silent:
    def stage(self, name: str, total: int, unit: str) -> object:
        return lambda done: None

    def say(self, sentence: str) -> None:
        raise AssertionError(sentence)


def recording(degrees: float | None, name: str = "mine") -> Recording:
    rng = np.random.default_rng(0)
    return Recording(
        name=name,
        stimuli=pd.DataFrame(index=[f"s{i}" for i in range(12)]),
        neuroids=pd.DataFrame({"region": "V4", "subject": "a"}, index=["n0", "n1"]),
        images=ArrayImages(rng.integers(0, 256, (12, 20, 25, 3), dtype=np.uint8)),
        licence="",
        citation="",
        averages=rng.normal(size=(12, 2)),
        degrees=degrees,
    )


def test_a_field_of_view_needs_the_width_of_the_stimuli() -> None:
    known, unknown = recording(8), recording(None, "bare")
    check_known([known, unknown], None)
    check_known([known], 8)
    with pytest.raises(InputError, match=r"model.visual_degrees=8: recording 'bare' does not say"):
        check_known([known, unknown], 8)
    with pytest.raises(InputError, match="'bare'"):
        pixels(unknown, SPEC, View(degrees=8), Silent())
    with pytest.raises(InputError, match="'mine'"):
        check_known([recording(0)], 8)


def test_the_view_is_what_the_model_is_shown() -> None:
    mine = recording(8)
    images = [mine.images[i] for i in range(12)]
    views = {
        View(): [prepare(image, SPEC.preprocessing) for image in images],
        View("crop"): [prepare(image, SPEC.preprocessing, "crop") for image in images],
        View("squash", 10): [prepare(place(image, 8, 10), SPEC.preprocessing) for image in images],
        View("crop", 6): [prepare(place(image, 8, 6), SPEC.preprocessing, "crop") for image in images],
    }
    digests = set()
    for view, wanted in views.items():
        np.testing.assert_array_equal(pixels(mine, SPEC, view, Silent()), wanted)
        digests.add(predictor(SPEC, view).stimuli(mine, Silent()))
    assert len(digests) == len(views)
    # the same pixels are the same stimuli, whatever the settings were called
    same = predictor(SPEC, View(degrees=8)).stimuli(mine, Silent())
    assert same == predictor(SPEC, View()).stimuli(mine, Silent())


def predictor(spec: ModelSpec, view: View) -> FromModel:
    return FromModel(load(spec), ["pixels"], view)


def test_images_made_again_are_the_same_and_keys_know_view_and_normalisation(tmp_path: Path) -> None:
    mine, other_recording = recording(8), recording(8, "other")

    def summaries(spec: ModelSpec, view: View, *between: Recording) -> int:
        """How many layer summaries the cache holds after the job."""
        ridge = catalogue.ridge((1.0, 10.0), relative=True, select="r2", choose="neuroid", components=None)
        aim = target(mine, kfold(12, folds=3, seed=0))
        work = [(mine, aim, [ridge.bind(aim)])]
        predicts = predictor(spec, view)
        wanted = predicts.stimuli(mine, Silent())
        for each in between:  # only the pixels of the last recording are kept
            predicts.stimuli(each, Silent())
        outcome = job.run(predicts, work, [ridge], cache=tmp_path, budget=10**9, stages=Silent())
        assert outcome.digests["mine"]["stimuli"] == wanted
        return len(list(tmp_path.rglob("*.npz")))

    wide = View("crop", 10)
    assert summaries(SPEC, wide) == 1
    assert summaries(SPEC, wide, other_recording) == 1
    assert summaries(SPEC, View()) == 2
    other = replace(SPEC, preprocessing=replace(SPEC.preprocessing, std=(63.0,) * 3))
    assert summaries(other, wide) == 3
