from functools import partial

import jax
import numpy as np
from scipy.stats import spearmanr

from engine.harmonize.human_maps import evaluation_maps
from engine.harmonize.judge import Judge, Pictures, pictures
from engine.training.examples import Example
from models.preprocessing import Preprocessing, normalise, prepare

SIZE, COUNT = 12, 18
PREPROCESSING = Preprocessing(SIZE, "bilinear", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def logits(weights: jax.Array, images: jax.Array) -> jax.Array:
    """Linear in the squares of the pixels, so the gradient is known: 2 x w."""
    return (images**2).reshape(len(images), -1) @ weights


class Noise:
    """Pictures of noise with maps of noise, twice the size."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, number: int, /) -> Example:
        rng = np.random.default_rng(number)
        image = rng.integers(0, 256, (2 * SIZE, 2 * SIZE, 3), np.uint8)
        return Example(image=image, label=number % 3, map=rng.uniform(size=(24, 24)).astype(np.float32), has_map=1.0)


def test_pictures_are_prepared_as_for_scoring() -> None:
    found = pictures(Noise(), PREPROCESSING, evaluation_maps)
    np.testing.assert_array_equal(found.labels, np.arange(COUNT) % 3)
    assert found.human is not None
    for number in (0, COUNT - 1):
        example = Noise()[number]
        np.testing.assert_array_equal(found.images[number], prepare(example["image"], PREPROCESSING, "squash"))
        np.testing.assert_allclose(found.human[number], evaluation_maps(example["map"][None], SIZE)[0], rtol=1e-6)


def test_alignment_and_its_baseline_by_hand() -> None:
    weights = np.random.default_rng(1).normal(size=(3 * SIZE * SIZE, 3)).astype(np.float32)
    shown: Pictures = pictures(Noise(), PREPROCESSING, evaluation_maps)
    judge = Judge(logits, partial(normalise, preprocessing=PREPROCESSING))
    found = judge(weights, shown)
    x = np.asarray(normalise(shown.images, PREPROCESSING))
    answers = ((x**2).reshape(COUNT, -1) @ weights).argmax(axis=1)
    np.testing.assert_array_equal(found.answers, answers)
    assert shown.human is not None
    partners = set()
    for number in range(COUNT):
        gradient = 2 * x[number] * weights[:, shown.labels[number]].reshape(SIZE, SIZE, 3)
        saliency = np.abs(gradient).max(axis=-1)
        np.testing.assert_allclose(found.saliency[number], saliency, rtol=1e-5)
        rho = spearmanr(saliency.ravel(), shown.human[number].ravel()).statistic
        assert abs(found.alignment.spearman[number] - rho) < 1e-6
        # The baseline is the same score with exactly one other picture's map.
        scores = [spearmanr(saliency.ravel(), human.ravel()).statistic for human in shown.human]
        (partner,) = np.flatnonzero(np.abs(np.array(scores) - found.others.spearman[number]) < 1e-7)
        assert partner != number
        partners.add(int(partner))
    assert partners == set(range(COUNT))
