"""How a kind of weight file names the tensors of an architecture, and from its names to ours.

Our parameter names are those of the checkpoint an architecture is best known by (torchvision's, timm's): file and
module then need no table between them, and other kinds of file are a few substitutions away.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.errors import InputError

Tensors = dict[str, np.ndarray]


def unchanged(tensors: Tensors) -> Tensors:
    """What most kinds of file need beyond renaming: nothing."""
    return tensors


@dataclass(frozen=True)
class Naming:
    """One kind of weight file of one architecture.

    Attributes:
        rename: (regular expression, replacement), applied in this order to every tensor's name.
        ignore: regular expression that whole names, as in the file, of tensors without use here match.
        outputs_first: whether kernels are stored out x in x height x width (PyTorch) and not as ours.
        convert: what renaming cannot do, such as joining separate query, key and value; works on the renamed tensors.
    """

    rename: tuple[tuple[str, str], ...] = ()
    ignore: str = r".*\.num_batches_tracked"
    outputs_first: bool = True
    convert: Callable[[Tensors], Tensors] = unchanged


class Renamed(NamedTuple):
    """Tensors under our names, and what each was called in the file (of converted ones: our name)."""

    tensors: Tensors
    called: Mapping[str, str]


def renamed(tensors: Mapping[str, np.ndarray], naming: Naming, origin: str) -> Renamed:
    """The tensors of use, under our names.

    Raises:
        InputError: two tensors of the file would get one name.
    """
    ignore = re.compile(naming.ignore)
    rules = [(re.compile(pattern), replacement) for pattern, replacement in naming.rename]
    found: Tensors = {}
    called: dict[str, str] = {}
    for name, tensor in tensors.items():
        if ignore.fullmatch(name):
            continue
        ours = name
        for pattern, replacement in rules:
            ours = pattern.sub(replacement, ours)
        if ours in found:
            raise InputError(f"{origin}: tensors '{called[ours]}' and '{name}' are both {ours}")
        found[ours], called[ours] = tensor, name
    return Renamed(naming.convert(found), called)
