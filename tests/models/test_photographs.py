"""The real weights recognise real photographs."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from models import zoo
from models.port import Choice, Model
from models.preprocessing import prepare
from models.weights.sources import PackagedFile


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "every"), [("efficientnet-lite0", 1), ("efficientnet-lite1", 5), ("efficientnet-lite2", 5)]
)
def test_recognises_photographs(name: str, every: int, shared: Path) -> None:
    """One photograph of each ImageNet class, by the default network; of every fifth class, by its larger relatives."""
    weights = zoo.spec(name).weights
    assert weights is not None
    assert isinstance(weights.source, PackagedFile)
    if find_spec(weights.source.package) is None:
        pytest.skip(f"{weights.source.package} is not installed")
    top1, top5 = recognised(zoo.load(name), shared, every)
    assert top1 > 0.85
    assert top5 > 0.95


@pytest.mark.real
def test_recognises_photographs_with_a_file_of_ones_own(shared: Path) -> None:
    """Keras's ResNet-50, its kernels in half precision; top-1 is known to be about 91 %."""
    file = shared / "weights" / "resnet50-keras-v1-fp16.safetensors"
    top1, top5 = recognised(zoo.load("resnet50-keras-v1", Choice(str(file))), shared, every=5)
    assert top1 == pytest.approx(0.91, abs=0.04)  # two standard errors of a share among 200
    assert top5 > 0.95


def recognised(model: Model, shared: Path, every: int) -> tuple[float, float]:
    """Share of the photographs of every so many classes whose class is the first guess, and among the first five."""
    with zipfile.ZipFile(shared / "images" / "imagenet-sample-1000.zip") as archive:
        files = sorted(archive.namelist())[::every]  # by WordNet id, which is the order of the classes
        pictures = np.stack(
            [
                prepare(np.asarray(Image.open(archive.open(file)).convert("RGB")), model.spec.preprocessing, "crop")
                for file in files
            ]
        )
    readout = str(model.spec.port().readout)
    logits = jax.jit(lambda params, batch: model.apply(params, batch)[readout])
    found = np.concatenate(
        [logits(model.params, pictures[start : start + 100]) for start in range(0, len(pictures), 100)]
    )
    ranked = np.argsort(-found, axis=1)
    label = np.arange(0, 1000, every)[:, None]
    return float((ranked[:, :1] == label).mean()), float((ranked[:, :5] == label).any(1).mean())
