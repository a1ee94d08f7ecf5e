"""A recording: what was shown, what was recorded, and where both came from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from engine.errors import InputError

FORMS = ("repeats", "averages", "rdms", "maps")


class Images(Protocol):
    """One RGB image per stimulus, decoded when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray:
        """The image as uint8 of shape (height, width, 3)."""
        ...


@dataclass(frozen=True, eq=False)
class Recording:
    """Stimuli, responses and neuroid table of one data set (or one session of it).

    Responses come in one of four forms: ``repeats`` (single presentations), ``averages`` (only means over
    presentations are known), ``rdms`` (only dissimilarities between stimuli are known) or ``maps`` (every stimulus was
    shown at a grid of places around a fixed receptive field).
    Every row of ``stimuli`` is aligned with ``images`` and with the stimulus axes below.

    Attributes:
        name: what the user calls it, with the session where there are several.
        stimuli: table indexed by stimulus id (text, unique); any columns, such as ``group`` or ``object``.
        neuroids: table indexed by neuroid id (text, unique); columns ``region`` and ``subject``, any others.
            Empty for RDMs.
        images: the pictures, or None where they are not at hand.
        repeats: repetitions x stimuli x neuroids, spike counts or rates, NaN where a presentation is missing.
        averages: stimuli x neuroids, NaN where missing.
        rdms: region -> subjects x stimuli x stimuli, dissimilarities.
        maps: stimuli x x x y x neuroids, lying as the images do: x along their height, y along their width; NaN
            where missing.
        truth: stimuli x neuroids, the noise-free responses; known for simulated recordings only.
        degrees: width of a stimulus in degrees of visual angle, where known.
        group: the stimulus column that marks near-duplicates (frames of one movie, views of one object), if any;
            folds keep its groups together unless the user says otherwise.
        stratum: the stimulus column whose classes the data set's own protocol balances over splits, if any.
        source: address of each original file -> its checksum.
        licence, citation: of the data.
        simulated: True if no animal or person was recorded.
    """

    name: str
    stimuli: pd.DataFrame
    neuroids: pd.DataFrame
    images: Images | None
    licence: str
    citation: str
    repeats: np.ndarray | None = None
    averages: np.ndarray | None = None
    rdms: Mapping[str, np.ndarray] | None = None
    maps: np.ndarray | None = None
    truth: np.ndarray | None = None
    degrees: float | None = None
    group: str | None = None
    stratum: str | None = None
    source: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False

    def __post_init__(self) -> None:
        check(self)

    @cached_property
    def responses(self) -> np.ndarray:
        """Mean over the presentations that exist: float64, stimuli x neuroids, NaN where there was none."""
        if self.averages is not None:
            return np.asarray(self.averages, np.float64)
        if self.maps is not None:
            raise InputError(
                f"recording '{self.name}' holds maps over positions of the images, not one response to each: score it "
                "with metric=spatial_map"
            )
        if self.repeats is None:
            raise InputError(
                f"recording '{self.name}' holds dissimilarity matrices only, no responses of single neuroids: "
                "regression cannot be fitted to it; compare representations instead (RSA)"
            )
        present = np.isfinite(self.repeats)
        count = present.sum(axis=0)
        total = np.where(present, self.repeats, 0.0).sum(axis=0, dtype=np.float64)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    @property
    def regions(self) -> list[str]:
        """The recorded regions, in order of first appearance."""
        return list(self.rdms) if self.rdms is not None else list(dict.fromkeys(self.neuroids["region"]))

    def digest(self) -> str:
        """SHA-256 over ids, responses and what marks groups; images are hashed apart (engine.stimuli)."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        sha = hashlib.sha256()
        for table in (self.stimuli, self.neuroids):
            sha.update(table.reset_index().to_csv(index=False).encode())
        arrays = {"repeats": self.repeats, "averages": self.averages, "maps": self.maps}
        arrays |= {f"rdm {region}": rdm for region, rdm in (self.rdms or {}).items()}
        for key, array in arrays.items():
            if array is not None:
                sha.update(f"{key} {array.shape}".encode())
                sha.update(np.ascontiguousarray(array, np.float64).tobytes())
        return sha.hexdigest()


def check(recording: Recording) -> None:
    """Raises InputError where the parts of a recording do not fit together, naming both sides."""
    name, n = recording.name, len(recording.stimuli)
    forms = [form for form in FORMS if getattr(recording, form) is not None]
    if len(forms) != 1:
        raise InputError(
            f"recording '{name}' must hold exactly one of {', '.join(FORMS[:-1])} and {FORMS[-1]}; "
            f"it holds {' and '.join(forms) or 'none'}"
        )
    for kind, table in (("stimulus", recording.stimuli), ("neuroid", recording.neuroids)):
        twice = table.index[table.index.duplicated()]
        if len(twice):
            raise InputError(
                f"recording '{name}': {kind} id '{twice[0]}' stands {(table.index == twice[0]).sum()} times; "
                f"{kind} ids must be unique"
            )
    if recording.images is not None and len(recording.images) != n:
        raise InputError(f"recording '{name}': {len(recording.images)} images for {n} stimuli")
    for column in filter(None, (recording.group, recording.stratum)):
        if column not in recording.stimuli:
            raise InputError(f"recording '{name}': the stimulus table has no column '{column}'")
    if recording.rdms is not None:
        for region, rdm in recording.rdms.items():
            if rdm.ndim != 3 or rdm.shape[1:] != (n, n):
                raise InputError(
                    f"recording '{name}': RDMs of {region} have shape {rdm.shape}, wanted (subjects, {n}, {n})"
                )
        return
    missing = {"region", "subject"} - set(recording.neuroids)
    if missing:
        raise InputError(f"recording '{name}': the neuroid table lacks the column(s) {', '.join(sorted(missing))}")
    wanted = (n, len(recording.neuroids))
    for form in ("repeats", "averages", "truth"):
        array = getattr(recording, form)
        if array is not None and (array.shape[-2:] != wanted or array.ndim != (3 if form == "repeats" else 2)):
            raise InputError(
                f"recording '{name}': {form} have shape {array.shape}, but the tables name {n} stimuli and "
                f"{wanted[1]} neuroids"
            )
    maps = recording.maps
    if maps is not None and (maps.ndim != 4 or (len(maps), maps.shape[-1]) != wanted or not maps.size):
        raise InputError(
            f"recording '{name}': maps have shape {maps.shape}, wanted ({n}, x, y, {wanted[1]}): stimuli x x x y x "
            "neuroids, as the tables name them"
        )
