"""MaxViT against PyTorch with the same random weights."""

import re
from typing import Any

import jax
import pytest

torch = pytest.importorskip("torch")

from engine.errors import InputError
from models.architectures.maxvit import port
from tests.models.parity import check_layers, check_modules, images, ours, ported, randomised
from tests.models.reference.maxvit import MaxViT

# A layer that halves the map and one that does not.
DEPTHS = (2,)
SIZES = (8, (16,), DEPTHS, 4, 4)
# Our layers by their names in the reference, which are torchvision's except for what the attention adds.
TORCHVISION = {
    "stem": "stem.1",
    "avgpool": "classifier.1",
    "norm": "classifier.2",
    "tanh": "classifier.4",
    "logits": "classifier.5",
}
for _name in (f"blocks.{stage}.layers.{index}" for stage, depth in enumerate(DEPTHS) for index in range(depth)):
    TORCHVISION[f"{_name}.MBconv"] = f"{_name}.layers.MBconv"
    for _part in ("window_attention", "grid_attention"):
        TORCHVISION |= {
            f"{_name}.{_part}": f"{_name}.layers.{_part}",
            f"{_name}.{_part}.attn": f"{_name}.layers.{_part}.added",
            f"{_name}.{_part}.mlp.act": f"{_name}.layers.{_part}.mlp_layer.2",
        }


def channels_first(layer: str, tensor: Any) -> Any:
    """The reference has channels last inside its attention layers."""
    return tensor.movedim(-1, 1) if re.search(r"\.(attn|act)$", layer) else tensor


@pytest.fixture(scope="module")
def network() -> Any:
    return randomised(MaxViT(*SIZES))


def test_each_module_on_the_same_input(network: Any) -> None:
    pattern = r"blocks\.\d\.layers\.\d\.layers\.(MBconv|window_attention|grid_attention)"
    check_modules(ported(port(*SIZES), network), network, images(32), pattern)


# Maps of 16 and of 8 positions a side: as many windows as a window has positions, and fewer.
@pytest.mark.parametrize(("size", "folded"), [(63, True), (32, False)])
def test_end_to_end(network: Any, size: int, folded: bool) -> None:
    module = ported(port(*SIZES), network, folded=folded)
    check_layers(module, network, images(size), TORCHVISION, channels_first)


def test_layers_and_aliases() -> None:
    known = port(*SIZES)
    assert set(known.layers) == set(TORCHVISION) - {"logits"}
    for layer, name in TORCHVISION.items():
        if not re.search(r"\.(attn|act)$", layer):
            assert known.aliases.get(name, name) == layer


def test_images_of_another_size(network: Any) -> None:
    with pytest.raises(InputError, match="18 x 18 positions cannot be parted into 4 x 4"):
        jax.eval_shape(ported(port(*SIZES), network), ours(images(72)))
