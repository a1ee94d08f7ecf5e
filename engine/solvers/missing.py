"""Targets grouped by the stimuli they have responses to, so that missing values are handled exactly."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from engine.errors import InputError

MAX_PATTERNS = 64
READ = 2**25  # bytes of responses read at once; centring in float64 takes some six times that for a moment


class Responses(Protocol):
    """Stimuli x targets: a NumPy array, a memory map, or an HDF5 data set, of which blocks of columns are read."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, where: tuple[slice, slice], /) -> np.ndarray: ...


class Pattern(NamedTuple):
    """Targets that have responses to the same stimuli.

    Attributes:
        stimuli: ascending indices of these stimuli.
        targets: ascending indices of the targets.
        means: of each target over these stimuli, float64.
    """

    stimuli: np.ndarray
    targets: np.ndarray
    means: np.ndarray


def columns(responses: Responses) -> Iterator[slice]:
    """Consecutive ranges of targets that together take a bounded number of bytes."""
    stimuli, targets = responses.shape
    width = max(1, READ // (stimuli * responses.dtype.itemsize))
    for start in range(0, targets, width):
        yield slice(start, min(start + width, targets))


def patterns(responses: Responses, stimuli: np.ndarray) -> list[Pattern]:
    """The patterns of missing values (NaN) among the given stimuli, each with its targets; reads everything once.

    Args:
        responses: stimuli x targets.
        stimuli: ascending indices of those that will be used.

    Raises:
        InputError: infinite responses; more than 64 patterns, each of which would need a fit of its own.
    """
    found: dict[bytes, list[np.ndarray]] = {}
    means = np.zeros(responses.shape[1])
    for part in columns(responses):
        values = np.asarray(responses[:, part])
        values = values if len(stimuli) == len(values) else values[stimuli]
        present = np.isfinite(values)
        if np.isinf(values[~present]).any():
            raise InputError("responses hold infinity; write NaN where a response is missing")
        means[part] = np.where(present, values, 0).sum(axis=0, dtype=np.float64) / np.maximum(present.sum(axis=0), 1)
        packed = np.packbits(present, axis=0).T
        complete = present.all(axis=0)
        found.setdefault(b"", []).append(part.start + np.flatnonzero(complete))
        for target in np.flatnonzero(~complete):
            found.setdefault(packed[target].tobytes(), []).append(np.array([part.start + target]))
        if len(found) > MAX_PATTERNS + 1:
            raise InputError(
                f"responses are missing in more than {MAX_PATTERNS} different patterns over {responses.shape[1]} "
                f"neuroids; up to {MAX_PATTERNS} are fitted exactly, one fit for each. Drop stimuli or neuroids with "
                "scattered missing values, or fill them before importing"
            )
    result = []
    for key, owners in found.items():
        targets = np.concatenate(owners)
        if len(targets):
            bits = np.unpackbits(np.frombuffer(key, np.uint8), count=len(stimuli)) if key else np.ones(len(stimuli))
            result.append(Pattern(stimuli[bits == 1], targets, means[targets]))
    return result
