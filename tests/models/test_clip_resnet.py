"""CLIP's residual tower against PyTorch with the same random weights."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from models.architectures.clip_resnet import port  # noqa: E402
from tests.models.parity import check_layers, check_modules, images, ported, randomised  # noqa: E402
from tests.models.reference.clip_resnet import ClipResNet  # noqa: E402
from tests.models.reference.vit import OpenAIClip  # noqa: E402

# Two stages are enough for blocks with and without a stride and a shortcut; 16 channels for two heads at the end.
DEPTHS, WIDTH, OUT = (2, 1), 16, 10


def tower(size: int) -> tuple[Any, Any]:
    """The port and PyTorch's whole model; the grid of the attention is that of the second stage."""
    side = (size + 1) // 2 // 2 // 2
    return port(DEPTHS, WIDTH, OUT, size=32 * side), randomised(OpenAIClip(ClipResNet(DEPTHS, WIDTH, OUT, 32 * side)))


@pytest.mark.parametrize(("size", "folded"), [(32, False), (35, True)])
def test_each_module_on_the_same_input(size: int, folded: bool) -> None:
    here, whole = tower(size)
    module = ported(here, whole, "original", folded=folded)
    check_modules(module, whole.visual, images(size), r"layer\d\.\d|attnpool" + ("" if folded else r"|conv\d|bn\d"))


@pytest.mark.parametrize("size", [32, 35])
def test_end_to_end(size: int) -> None:
    here, whole = tower(size)
    where = {layer: layer for layer in here.layers} | {"embedding": "attnpool"}
    assert all(here.aliases.get(f"visual.{name}") == layer for layer, name in where.items())
    check_layers(ported(here, whole, "original", folded=True), whole.visual, images(size), where)
