"""Training without labels: held-out scores written out in NumPy, which step is kept, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.cotrain.task import ArrayExamples
from engine.errors import InputError
from engine.harmonize.division import Chosen
from engine.pretrain.recipes import Representation, contrastive, representation
from engine.pretrain.run import MOST, Plan, divide, pretrain
from engine.training.account import Report
from engine.training.batches import Order
from engine.training.course import Course
from engine.training.heads import KEY, split_heads
from engine.training.log import read
from engine.training.optimiser import Settings
from engine.training.simclr import HEAD
from models import zoo
from models.sized import sized
from models.trainable import Trainable

SIDE, TEMPERATURE = 8, 0.4
PLAN = Plan(
    Course(
        steps=12,
        batch=8,
        every=4,
        keep=1,
        frozen_statistics=False,
        ema=None,
        remat=False,
        seed=0,
    ),
    held_out=0.3,
    patience=None,
)


class Silent:
    def stage(self, name: str, total: int, unit: str) -> Callable[[int], None]:
        return lambda steps: None

    def say(self, sentence: str) -> None: ...


def forward(params: Any, statistics: Any, images: Any, *, train: bool = False, take: Any) -> tuple[Any, Any]:
    """A convolution of one kernel per 4 x 4 pixels, of pictures centred by the batch's mean or the running one."""
    x = images.astype(jnp.float32) / 255
    mean = x.mean((0, 1, 2)) if train else statistics["mean"]
    x = (x - mean).reshape(len(x), 2, 4, 2, 4, 3)
    layer = jax.nn.relu(jnp.einsum("nhiwjc,ijcd->nhwd", x, params["weight"]))
    after = {"mean": 0.9 * statistics["mean"] + 0.1 * mean} if train else statistics
    return take({"conv": layer}), after


def test_the_held_out_score_is_what_views_tell_and_the_best_step_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = jnp.asarray(rng.normal(size=(4, 4, 3, 16)) / 7, jnp.float32)
    model = Trainable(sized(zoo.spec("cornet-z"), SIDE), forward, {"weight": weight}, {"mean": jnp.full(3, 0.3)})
    source = ArrayExamples(rng.integers(0, 256, (40, 12, 12, 3), np.uint8), np.zeros(40, int))
    recipe = contrastive(
        model,
        Representation("conv", 16),
        temperature=TEMPERATURE,
        jitter=0.5,
        area=(0.2, 1.0),
        frozen_statistics=False,
        seed=1,
    )
    run = partial(pretrain, model, source, recipe, PLAN, Settings("adamw", 0.02), identity={}, stages=Silent())

    def stop(report: Report) -> None:
        if report.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder=tmp_path, report=stop)
    outcome = run(folder=tmp_path)  # goes on from step 8

    _, held_out = divide(40, PLAN)
    assert (outcome.trained, outcome.held_out, outcome.together) == (28, 8, 8)  # of 12, those that fill a batch
    # NT-Xent of the start, one view after the other.
    batch = next(recipe.views(Chosen(source, held_out), Order(8, PLAN.course.seed)))
    head = split_heads(recipe.params)[1][HEAD]
    z = []
    for image in (*batch["image"], *batch["second"]):
        x = (image / 255 - 0.3).reshape(2, 4, 2, 4, 3)
        h = np.maximum(np.einsum("hiwjc,ijcd->hwd", x, np.asarray(weight, np.float64)), 0).mean((0, 1))
        hidden = np.maximum(h @ np.asarray(head["hidden"]["weight"], np.float64), 0)
        out = hidden @ np.asarray(head["out"]["weight"], np.float64)
        z.append(out / np.linalg.norm(out))
    losses, nearest = [], []
    for i in range(16):
        others = [j for j in range(16) if j != i]
        s = {j: z[i] @ z[j] / TEMPERATURE for j in others}
        losses.append(np.log(sum(np.exp(each) for each in s.values())) - s[(i + 8) % 16])
        nearest.append(max(others, key=s.__getitem__) == (i + 8) % 16)
    assert abs(outcome.before["information"] - (np.log(15) - np.mean(losses))) < 1e-5
    assert outcome.before["accuracy"] == np.mean(nearest)

    scores = read(tmp_path / "log" / "scores.csv").set_index("step")
    assert list(scores.index) == [0, 4, 8, 12]
    assert list(read(tmp_path / "log" / "terms.csv")["step"]) == list(range(1, 13))
    assert scores.loc[outcome.best].to_dict() == outcome.after
    assert outcome.best == scores["information"].idxmax() > 0
    assert KEY not in outcome.params
    assert not np.allclose(outcome.statistics["mean"], 0.3)
    assert not np.allclose(outcome.params["weight"], weight)


def test_pictures_are_divided_at_random_once() -> None:
    trained, held_out = divide(50, PLAN)
    assert (len(trained), len(held_out)) == (35, 15)
    assert sorted([*trained, *held_out]) == list(range(50))
    assert set(held_out) != set(divide(50, replace(PLAN, course=replace(PLAN.course, seed=1)))[1])
    assert len(divide(10_000, PLAN)[1]) == MOST
    with pytest.raises(InputError, match=r"train.batch=8: of 9 pictures 6 are left to train on after 3 are held out"):
        divide(9, PLAN)
    with pytest.raises(InputError, match="of 1 picture 0 are left"):
        divide(1, PLAN)


def test_models_that_cannot_be_trained() -> None:
    assert representation(sized(zoo.spec("cornet-z"), 32)) == ("decoder.avgpool-t0", 512)
    with pytest.raises(InputError, match="wanted objective=vae"):
        representation(zoo.spec("vae"))
    pixels = Trainable(zoo.spec("pixels"), forward, {}, {})
    with pytest.raises(InputError, match="'pixels' has no parameters"):
        contrastive(
            pixels,
            Representation("pixels.grey", 1),
            temperature=1.0,
            jitter=1.0,
            area=(0.5, 1.0),
            frozen_statistics=False,
            seed=0,
        )
