"""A model for images of another size than those it was trained on."""

from dataclasses import replace

from engine.errors import InputError
from models.spec import ModelSpec


def sized(spec: ModelSpec, size: int | None, resize: int | None = None) -> ModelSpec:
    """The model for images of ``size`` pixels a side; layers of positions become larger or smaller with them.

    Args:
        spec: of the model.
        size: None for its own.
        resize: to what ``fit=crop`` brings a picture's shorter side before the middle is cut out; None for the same
            share of the picture as the model's own.

    Raises:
        InputError: ``resize`` is less than the size, or the model takes no images of this size.
    """
    from models.port import layer_shapes  # imports JAX, which naming a model at its own size need not

    own = spec.preprocessing
    if size is None:
        size = own.size
    if resize is not None and resize < size:
        raise InputError(f"model.resize={resize}: wanted at least the {size} pixels that are cut out (model.size)")
    if resize is None and own.resize is not None:
        resize = max(size, round(own.resize * size / own.size))
    found = replace(spec, preprocessing=replace(own, size=size, resize=resize))
    if size == own.size:
        return found
    reason = f"model.size={size}: '{spec.name}' cannot take images of {size} pixels"
    try:
        shapes = layer_shapes(found)
    except (ArithmeticError, TypeError, ValueError) as error:  # whatever its first layer that they do not fit raises
        raise InputError(
            f"{reason}; give its own, {own.size}, or a model without a fixed size, such as resnet18"
        ) from error
    if empty := [layer for layer, shape in shapes.items() if 0 in shape]:
        raise InputError(f"{reason}: nothing is left of them at its layer {empty[0]}; give a larger size")
    return found
