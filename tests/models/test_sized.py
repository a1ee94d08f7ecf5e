"""Models for images of another size."""

import pytest

from engine.errors import InputError
from models import zoo
from models.port import layer_shapes
from models.sized import sized


def test_layers_follow_the_size_and_the_share_of_the_picture_stays() -> None:
    spec = zoo.spec("resnet50")
    own, half = spec.preprocessing, sized(spec, 112)
    assert half.preprocessing.size == 112
    assert half.preprocessing.shorter_side / 112 == own.shorter_side / own.size
    for layer, whole in layer_shapes(spec).items():
        sides = tuple(-(-side // 2) for side in whole[:-1])  # of vectors none
        assert layer_shapes(half)[layer] == (*sides, whole[-1])
    assert sized(spec, None) == spec
    assert sized(spec, None, 300).preprocessing.shorter_side == 300


@pytest.mark.parametrize(
    ("name", "size", "resize", "told"),
    [
        ("alexnet", 32, None, "model.size=32: 'alexnet' cannot take images of 32 pixels; give its own, 224"),
        ("vit-tiny-patch16", 128, None, "give its own, 224"),
        ("squeezenet1-1", 16, None, "nothing is left of them at its layer pool5"),
        ("resnet18", 64, 60, "model.resize=60: wanted at least the 64 pixels"),
        ("resnet18", None, 200, "model.resize=200: wanted at least the 224 pixels"),
    ],
)
def test_what_cannot_be_is_one_error(name: str, size: int | None, resize: int | None, told: str) -> None:
    with pytest.raises(InputError, match=told):
        sized(zoo.spec(name), size, resize)
