"""Targets divided among processes: each solves for its own, as if there were no others, and tells all what it found."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import numpy as np

from engine import hosts
from engine.solvers.missing import Responses

T = TypeVar("T")


class Columns:
    """Some consecutive targets of responses, of which only these are read."""

    def __init__(self, responses: Responses, part: slice) -> None:
        self._responses, self._start = responses, part.start
        self.shape, self.dtype = (responses.shape[0], part.stop - part.start), responses.dtype

    def __getitem__(self, where: tuple[slice, slice], /) -> np.ndarray:
        rows, part = where
        start, stop, _ = part.indices(self.shape[1])
        return np.asarray(self._responses[rows, slice(self._start + start, self._start + stop)])


def divided(targets: int) -> bool:
    """Whether there are other processes, and a target for each."""
    return hosts.several() and targets >= jax.process_count()


def over_processes(solve: Callable[[Responses], T], responses: Responses) -> T:
    """What ``solve`` finds for all targets, each process doing its share.

    Equal to ``solve(responses)`` up to the rounding of products of another width, where targets do not depend on one
    another.

    Args:
        solve: responses -> tree of numpy arrays whose last axis is targets; other leaves, of one number, are the
            largest of all processes.
        responses: stimuli x targets, the same in all processes.
    """
    parts = hosts.shares(responses.shape[1])
    part = parts[jax.process_index()]
    leaves, form = jax.tree.flatten(solve(Columns(responses, part)))
    widest = max(each.stop - each.start for each in parts)
    padded = [_filled(np.asarray(leaf), widest) for leaf in leaves]
    found = hosts.gathered(padded)
    return jax.tree.unflatten(form, [_joined(each, parts) for each in zip(*found, strict=True)])


def _filled(array: np.ndarray, width: int) -> np.ndarray:
    if not array.ndim:
        return array
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])])


def _joined(arrays: Sequence[np.ndarray], parts: Sequence[slice]) -> np.ndarray | float:
    if not arrays[0].ndim:
        return float(max(arrays))
    return np.concatenate(
        [array[..., : part.stop - part.start] for array, part in zip(arrays, parts, strict=True)], axis=-1
    )
