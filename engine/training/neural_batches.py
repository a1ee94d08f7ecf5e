"""Batches of stimuli and the responses to them, beside the batches of the task.

Each batch holds stimuli of one recording (one session), because similarities are between responses of the same
neuroids. Its responses have the columns of all recordings, NaN but for its own, so that every batch has one shape and
the training step compiles once.

The order is endless and given by the seed: in each pass the stimuli of each recording are shuffled and cut into
batches (what remains is left out of this pass), and the batches of all recordings mixed. Grain keeps the place.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import grain
import numpy as np

from engine.errors import InputError, unknown
from engine.recording import Recording
from engine.training.batches import Batch, Batches, Order
from engine.training.co_training import IMAGE, RESPONSE, STEP
from engine.training.neural_controls import CONTROLS
from engine.training.partition import Part

FEWEST = 4  # stimuli in a batch: cosines and CKA of two or three are the same for all data, or nearly


class NeuralData(NamedTuple):
    """What is trained on.

    Attributes:
        images: stimuli x height x width x 3, uint8, as the model takes them.
        responses: region -> stimuli x neuroids, float32, NaN outside the neuroid's own recording or where missing.
        recordings: number of the recording of each stimulus.
        names: of the recordings.
    """

    images: np.ndarray
    responses: dict[str, np.ndarray]
    recordings: np.ndarray
    names: tuple[str, ...]


def neural_data(
    recordings: Sequence[Recording],
    pictures: Sequence[np.ndarray],
    parts: Sequence[Part],
    regions: Sequence[str],
    control: str | None = None,
    seed: int = 0,
) -> NeuralData:
    """The trained parts of recordings, of the regions asked for, as one table.

    Args:
        recordings: as ``partition`` got them.
        pictures: of each recording, stimuli x height x width x 3, uint8, of one size.
        parts: ``Partition.trained``.
        regions: of which responses are wanted.
        control: None for the recorded responses, ``shuffled`` or ``surrogate`` for
            :mod:`engine.training.neural_controls`, of each part by itself.
        seed: of the control.

    Raises:
        InputError: a region or control is not known, or a part has none of the regions.
    """
    if control is not None and control not in CONTROLS:
        raise unknown("control", control, CONTROLS)
    known = list(dict.fromkeys(region for recording in recordings for region in recording.regions))
    for region in regions:
        if region not in known:
            raise unknown("region", region, known)
    tables: dict[str, list[np.ndarray]] = {region: [] for region in regions}
    for part in parts:
        recording = recordings[part.recording]
        of_region = recording.neuroids["region"].to_numpy()[part.neuroids]
        wanted = np.isin(of_region, list(regions))
        if not wanted.any():
            raise InputError(
                f"recording '{recording.name}' has no neuroids of {' or '.join(regions)} to train on; leave it out"
            )
        responses = recording.responses[np.ix_(part.stimuli, part.neuroids[wanted])]
        if control is not None:
            # All regions together: neurons of two regions keep what they have in common.
            try:
                responses = CONTROLS[control](responses, seed=seed + part.recording)
            except InputError as error:
                raise InputError(f"recording '{recording.name}': {error}") from error
        for region in regions:
            tables[region].append(responses[:, of_region[wanted] == region])
    return NeuralData(
        images=np.concatenate([pictures[part.recording][part.stimuli] for part in parts]),
        responses={region: _block_diagonal(blocks) for region, blocks in tables.items()},
        recordings=np.repeat(np.arange(len(parts)), [len(part.stimuli) for part in parts]),
        names=tuple(recordings[part.recording].name for part in parts),
    )


def neural_batches(data: NeuralData, order: Order) -> Batches:
    """Endless batches with the keys that :mod:`engine.training.co_training` names.

    Args:
        data: what is trained on.
        order: ``batch`` stimuli for each step of all processes together; ``threads`` as for the task's batches.

    Raises:
        InputError: fewer than 4 stimuli in a batch, more than a recording has, or not to be divided among processes.
    """
    size = order.batch
    if size < FEWEST:
        raise InputError(f"a neural batch of {size} stimuli; wanted at least {FEWEST}, better 32 or more")
    if size % order.processes:
        raise InputError(
            f"a neural batch of {size} stimuli cannot be divided among {order.processes} processes; give a multiple"
        )
    share = size // order.processes
    mine = slice(order.process * share, (order.process + 1) * share)
    passes = []
    seeds = np.random.SeedSequence([order.seed, 2]).generate_state(len(data.names) + 1).tolist()
    for number, name in enumerate(data.names):
        rows = np.flatnonzero(data.recordings == number)
        if len(rows) < size:
            raise InputError(
                f"recording '{name}' has {len(rows)} stimuli to train on, fewer than a neural batch of {size}; "
                "lower the batch, hold out fewer stimuli, or leave the recording out"
            )
        passes.append(grain.MapDataset.source(rows).shuffle(seeds[number]).batch(size, drop_remainder=True))

    def gathered(step: int, rows: np.ndarray) -> Batch:
        own = rows[mine]
        responses = {RESPONSE + region: table[own] for region, table in data.responses.items()}
        return {IMAGE: data.images[own], STEP: np.full(share, step, np.int32), **responses}

    endless = grain.MapDataset.concatenate(passes).shuffle(seeds[-1]).repeat().map_with_index(gathered)
    reading = grain.ReadOptions(num_threads=1 if order.threads is None else order.threads, prefetch_buffer_size=2)
    return iter(endless.to_iter_dataset(reading))


class Joined:
    """Batches of the task and neural ones, each step one of both in one dictionary; left off and taken up together."""

    def __init__(self, task: Batches, neural: Batches) -> None:
        self._task, self._neural = task, neural

    def __iter__(self) -> "Joined":
        return self

    def __next__(self) -> Batch:
        return {**next(self._task), **next(self._neural)}

    def get_state(self) -> dict[str, Any]:
        """The states of both."""
        return {"task": self._task.get_state(), "neural": self._neural.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where both were."""
        self._task.set_state(state["task"])
        self._neural.set_state(state["neural"])


def _block_diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    rows, columns = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    table = np.full((rows, columns), np.nan, np.float32)
    row = column = 0
    for block in blocks:
        table[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return table
