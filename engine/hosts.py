"""Several processes as one, each with its own devices: what they tell one another while they run the same program.

All of them take the same steps in the same order (one program, multiple data), so whatever a step depends on must be
the same in all: what one of them alone can know, such as whether a file is there, the first process decides for all.
In a single process every function here gives back what it was given.
"""

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

UNIT = 256  # bytes; messages are filled up to a multiple, so that few programs are compiled


def several() -> bool:
    """Whether this is one of several processes. Touches no device where it is not."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return not several() or jax.process_index() == 0


def from_first(value: Any) -> Any:
    """The first process's value, in all. Of JSON; lists stay lists."""
    if not several():
        return value
    text = json.dumps(value).encode() if is_first() else b""
    size = int(broadcast([np.array(len(text), np.int32)], 0)[0])
    padded = np.zeros(-(-size // UNIT) * UNIT, np.uint8)
    padded[: len(text)] = np.frombuffer(text, np.uint8)
    return json.loads(broadcast([padded], 0)[0][:size].tobytes())


def everywhere(flag: bool) -> bool:
    """Whether it holds in all processes."""
    return all(bool(each) for (each,) in gathered([np.array(flag)]))


def broadcast(arrays: Sequence[np.ndarray], source: int) -> list[np.ndarray]:
    """The arrays of process ``source``, bit for bit, in all; the others give arrays of the same shapes and types."""
    if not several():
        return list(arrays)
    from jax.experimental import multihost_utils

    packed = _packed(arrays)  # as bytes, of which no setting changes the type
    found = multihost_utils.broadcast_one_to_all(packed, is_source=jax.process_index() == source)
    return _unpacked(np.asarray(found), arrays)


def gathered(arrays: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Every process's arrays, bit for bit, in the processes' order; shapes and types are the same in all."""
    if not several():
        return [list(arrays)]
    from jax.experimental import multihost_utils

    return [_unpacked(each, arrays) for each in np.asarray(multihost_utils.process_allgather(_packed(arrays)))]


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
    """The first process does it before the others begin, so that they find what it has downloaded."""
    if not is_first():
        everywhere(True)
    yield
    if several() and is_first():
        everywhere(True)


def own_copy(tree: Any) -> Any:
    """Arrays that every process has whole, such as parameters, as arrays of this process alone."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree) if several() else tree


def shares(count: int) -> list[slice]:
    """Consecutive ranges of ``count`` things, one for each process, that differ by one at most."""
    processes = jax.process_count() if several() else 1
    bounds = [count * number // processes for number in range(processes + 1)]
    return [slice(*pair) for pair in itertools.pairwise(bounds)]


def _packed(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ascontiguousarray(each).reshape(-1).view(np.uint8) for each in arrays])


def _unpacked(packed: np.ndarray, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    ends = np.cumsum([each.nbytes for each in like])
    parts = np.split(packed, ends[:-1])
    return [part.copy().view(each.dtype).reshape(each.shape) for part, each in zip(parts, like, strict=True)]
