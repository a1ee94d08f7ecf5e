"""Which neuroids and stimuli are trained on, and which are kept for the score.

A model that is trained on recordings is scored on what it never saw: other neuroids, other sessions or subjects, and
always other stimuli. A stimulus is the same wherever its id, its picture, or the group of near-duplicates that the
recording names is the same, in whichever session; a neuroid wherever its id is. Each is on one side only.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engine.errors import InputError, unknown
from engine.recording import Images, Recording


class HeldOut(NamedTuple):
    """What is kept apart.

    Attributes:
        stimuli: share of the stimuli of each recording that is trained on, in whole groups of near-duplicates.
        neuroids: share of the neuroids of each region in each recording.
        where: column of the neuroid table -> values of which all neuroids are kept, such as ``{"session": ["190925"]}``
            or ``{"subject": ["WE"]}``.
        seed: of what is drawn.
    """

    stimuli: float = 0.2
    neuroids: float = 0.0
    where: Mapping[str, Sequence[str]] = {}
    seed: int = 0


class Part(NamedTuple):
    """Stimuli and neuroids of one recording, as sorted row numbers of its tables."""

    recording: int
    stimuli: np.ndarray
    neuroids: np.ndarray


class Partition(NamedTuple):
    """Parts of the recordings; held-out neuroids on trained stimuli are in none.

    Attributes:
        trained: what batches are made of.
        held_out: neuroids that were not trained on, with stimuli that were not.
        new_stimuli: neuroids that were trained on, with stimuli that were not.
    """

    trained: tuple[Part, ...]
    held_out: tuple[Part, ...]
    new_stimuli: tuple[Part, ...]


def partition(
    recordings: Sequence[Recording], held_out: HeldOut, pictures: Sequence[np.ndarray] | None = None
) -> Partition:
    """Draws what is kept; the same arguments give the same partition.

    Stimuli of recordings of which no neuroid is trained on are all kept, but for those that are trained on elsewhere.

    Args:
        recordings: one or more, such as the sessions of a data set.
        held_out: what to keep.
        pictures: of each recording, stimuli x height x width x 3, so that the same picture under two ids is found.

    Raises:
        InputError: a share is not between 0 and 1, a column or value is not known, or a side would be empty.
    """
    _check(recordings, held_out)
    rng = np.random.default_rng(held_out.seed)
    kept_neuroids = _neuroids(recordings, held_out, rng)
    trains = [not kept.all() for kept in kept_neuroids]
    kept_stimuli = _stimuli(_groups(recordings, pictures), trains, held_out.stimuli, rng)
    sides: dict[str, list[Part]] = {"trained": [], "held_out": [], "new_stimuli": []}
    for number, (stimuli, neuroids) in enumerate(zip(kept_stimuli, kept_neuroids, strict=True)):
        for side, rows, columns in (
            ("trained", ~stimuli, ~neuroids),
            ("held_out", stimuli, neuroids),
            ("new_stimuli", stimuli, ~neuroids),
        ):
            if rows.any() and columns.any():
                sides[side].append(Part(number, np.flatnonzero(rows), np.flatnonzero(columns)))
    result = Partition(*(tuple(sides[side]) for side in Partition._fields))
    if not result.trained:
        raise InputError("everything is held out, so there is nothing to train on; hold out less")
    if not (result.held_out or result.new_stimuli):
        raise InputError("nothing is held out, so there is nothing to score on; hold out stimuli, sessions or subjects")
    check_disjoint(result, recordings, pictures)
    return result


def check_disjoint(
    parts: Partition, recordings: Sequence[Recording], pictures: Sequence[np.ndarray] | None = None
) -> None:
    """Raises ValueError where a stimulus (by id or picture) or a held-out neuroid is on both sides."""

    def stimuli(side: Iterable[Part]) -> set[str]:
        ids = {f"id {recordings[part.recording].stimuli.index[row]}" for part in side for row in part.stimuli}
        if pictures is None:
            return ids
        return ids | {f"picture {_digest(pictures[part.recording][row])}" for part in side for row in part.stimuli}

    def neuroids(side: Iterable[Part]) -> set[str]:
        return {str(recordings[part.recording].neuroids.index[row]) for part in side for row in part.neuroids}

    for kind, shared in (
        ("stimuli", stimuli(parts.trained) & stimuli((*parts.held_out, *parts.new_stimuli))),
        ("neuroids", neuroids(parts.trained) & neuroids(parts.held_out)),
    ):
        if shared:
            raise ValueError(f"{len(shared)} {kind} are trained on and held out, among them {min(shared)}")


def restricted(recording: Recording, part: Part) -> Recording:
    """The part of a recording, as a recording to be scored."""
    rows, columns = part.stimuli, part.neuroids
    both = np.ix_(rows, columns)
    return replace(
        recording,
        stimuli=recording.stimuli.iloc[rows],
        neuroids=recording.neuroids.iloc[columns],
        images=None if recording.images is None else ChosenImages(recording.images, rows),
        repeats=None if recording.repeats is None else recording.repeats[:, rows][:, :, columns],
        averages=None if recording.averages is None else recording.averages[both],
        truth=None if recording.truth is None else recording.truth[both],
    )


class ChosenImages:
    """Some of the images of a recording."""

    def __init__(self, images: Images, chosen: np.ndarray) -> None:
        self._images, self._chosen = images, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self._images[int(self._chosen[index])]


def _check(recordings: Sequence[Recording], held_out: HeldOut) -> None:
    for recording in recordings:
        if recording.rdms is not None or recording.maps is not None:
            _ = recording.responses  # says what is the matter
    for kind in ("stimuli", "neuroids"):
        share = getattr(held_out, kind)
        if not 0 <= share < 1:
            raise InputError(f"held-out share of {kind} {share}: wanted 0 or more and less than 1, such as 0.2")
    for column, values in held_out.where.items():
        columns = {str(name) for recording in recordings for name in recording.neuroids}
        if column not in columns:
            raise unknown("column of the neuroid table", column, sorted(columns))
        tables = [recording.neuroids for recording in recordings if column in recording.neuroids]
        known = sorted({str(value) for table in tables for value in table[column]})
        for value in values:
            if str(value) not in known:
                raise unknown(column, value, known)


def _neuroids(recordings: Sequence[Recording], held_out: HeldOut, rng: np.random.Generator) -> list[np.ndarray]:
    """Of each recording, which neuroids are kept."""
    kept: dict[str, bool] = {}
    for recording in recordings:
        for column, values in held_out.where.items():
            if column in recording.neuroids:
                chosen = recording.neuroids[column].astype(str).isin([str(value) for value in values])
                kept |= {str(name): True for name in recording.neuroids.index[chosen]}
    for recording in recordings:
        for _, table in recording.neuroids.groupby("region", sort=False):
            free = [str(name) for name in table.index if str(name) not in kept]
            count = round(held_out.neuroids * len(free))
            if held_out.neuroids > 0 and free and not 0 < count < len(free):
                raise InputError(
                    f"recording '{recording.name}' has {len(free)} neuroids of {table['region'].iloc[0]}, of which "
                    f"{held_out.neuroids:g} cannot be held out with some on both sides; change the share"
                )
            drawn = set(rng.permutation(len(free))[:count].tolist())
            kept |= {name: place in drawn for place, name in enumerate(free)}
    return [np.array([kept[str(name)] for name in recording.neuroids.index], bool) for recording in recordings]


def _groups(recordings: Sequence[Recording], pictures: Sequence[np.ndarray] | None) -> list[np.ndarray]:
    """Of each recording, the number of the group that each stimulus belongs to."""
    marks: dict[tuple[str, str], int] = {}
    edges: list[tuple[int, int]] = []
    stimulus = 0
    for number, recording in enumerate(recordings):
        for row, name in enumerate(recording.stimuli.index):
            own = [("id", str(name))]
            if recording.group is not None:
                own.append((recording.group, str(recording.stimuli[recording.group].iloc[row])))
            if pictures is not None:
                own.append(("picture", _digest(pictures[number][row])))
            edges += [(stimulus, marks.setdefault(mark, len(marks))) for mark in own]
            stimulus += 1
    left, right = np.array(edges).T
    size = stimulus + len(marks)
    graph = coo_array((np.ones(len(left), bool), (left, stimulus + right)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][:stimulus]
    return np.split(labels, np.cumsum([len(recording.stimuli) for recording in recordings])[:-1])


def _stimuli(
    groups: Sequence[np.ndarray], trains: Sequence[bool], share: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Of each recording, which stimuli are kept: whole groups, about the share of every recording trained on."""
    kept: dict[int, bool] = {}
    for labels in (labels for labels, train in zip(groups, trains, strict=True) if train):
        wanted = round(share * len(labels))
        found = sum(kept.get(label, False) for label in labels.tolist())
        for label in rng.permutation(np.unique(labels)).tolist():
            if label not in kept:
                kept[label] = found < wanted
                found += int((labels == label).sum()) * kept[label]
    return [np.array([kept.get(label, True) for label in labels.tolist()], bool) for labels in groups]


def _digest(picture: np.ndarray) -> str:
    return hashlib.sha256(f"{picture.shape}".encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()
