"""Every tensor of a weight file into its parameter, completely or not at all."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from engine.errors import InputError
from models.weights.naming import Naming, renamed


class Wanted(NamedTuple):
    """A parameter to be filled: its shape, and whether it is a kernel, which PyTorch stores outputs first."""

    shape: tuple[int, ...]
    kernel: bool


class Fit(NamedTuple):
    """Parameter name -> float32 array; and everything that does not fit."""

    filled: dict[str, np.ndarray]
    problems: list[str]


def fit(wanted: Mapping[str, Wanted], naming: Naming, tensors: Mapping[str, np.ndarray], origin: str) -> Fit:
    """Puts every source tensor into its parameter.

    Args:
        wanted: parameter name -> what it takes, for all parameters of the model.
        naming: of this kind of file.
        tensors: source name -> array, as read from the file.
        origin: the file's name, for messages.
    """
    source, called = renamed(tensors, naming, origin)
    problems = [f"unexpected: {called.get(name, name)} {source[name].shape}" for name in source if name not in wanted]
    filled: dict[str, np.ndarray] = {}
    for name, (shape, kernel) in wanted.items():
        stored = _outputs_first(shape) if kernel and naming.outputs_first else shape
        if name not in source:
            problems.append(f"missing: {name} {stored}")
            continue
        tensor, theirs = source[name], called.get(name, name)
        if tensor.shape != stored:
            problems.append(f"wrong shape: {theirs} is {tensor.shape}, wanted {stored}")
        elif not np.isfinite(tensor).all():
            problems.append(f"not finite: {theirs}")
        else:
            if stored is not shape:
                tensor = tensor.transpose(*range(2, tensor.ndim), 1, 0)
            filled[name] = np.ascontiguousarray(tensor, np.float32)
    return Fit(filled, problems)


def fill(
    wanted: Mapping[str, Wanted],
    namings: Mapping[str, Naming],
    names: str | None,
    tensors: Mapping[str, np.ndarray],
    origin: str,
) -> dict[str, np.ndarray]:
    """As :func:`fit`, with the naming called ``names``, or with whichever fits best where that is None.

    Raises:
        InputError: lists every missing, unexpected, wrongly shaped and non-finite tensor; or the architecture's files
            are not known under that naming.
    """
    if names is not None and names not in namings:
        raise InputError(
            f"weights.names={names}: files of this architecture are known as {', '.join(namings)}; "
            "give one of these, or leave weights.names out to try them all"
        )
    tried = [names] if names is not None else list(namings)
    fits = [fit(wanted, namings[name], tensors, origin) for name in tried]
    best = min(range(len(fits)), key=lambda index: len(fits[index].problems))
    if problems := fits[best].problems:
        another = "" if fits[best].filled else "none fits: they are of another model, or under names not known: "
        raise InputError(
            f"{origin}: the weights do not fit the model in {len(problems)} place(s), read as {tried[best]}: "
            + another
            + "; ".join(problems)
        )
    return fits[best].filled


def _outputs_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    *positions, incoming, out = shape
    return (out, incoming, *positions)
