"""The real weights recognise real photographs."""

import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from models import zoo
from models.preprocessing import prepare


def centre(picture: Image.Image) -> np.ndarray:
    """The middle square, seven eighths of the shorter side: the crop ImageNet networks are evaluated on."""
    side = round(min(picture.size) * 0.875)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.convert("RGB").crop((left, top, left + side, top + side)))


@pytest.mark.real
def test_recognises_photographs(shared: Path) -> None:
    """One photograph of each ImageNet class."""
    model = zoo.load("efficientnet-lite0")
    with zipfile.ZipFile(shared / "images" / "imagenet-sample-1000.zip") as archive:
        names = sorted(archive.namelist())  # by WordNet id, which is the order of the classes
        pictures = np.stack(
            [prepare(centre(Image.open(archive.open(name))), model.spec.preprocessing) for name in names]
        )
    logits = jax.jit(lambda params, batch: model.apply(params, batch)["logits"])
    found = np.concatenate([logits(model.params, pictures[start : start + 100]) for start in range(0, 1000, 100)])
    ranked = np.argsort(-found, axis=1)
    label = np.arange(1000)[:, None]
    assert (ranked[:, :1] == label).mean() > 0.85
    assert (ranked[:, :5] == label).any(1).mean() > 0.95
