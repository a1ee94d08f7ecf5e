"""Layers of a file of features made elsewhere, matched to a recording's stimuli by id."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from engine.activations import plan
from engine.features_file import FeaturesFile, feature_summaries
from engine.memory.passes import Demand, pieces
from engine.metrics.metric import Reader
from engine.predictor import Layer, Reading, Stages
from engine.recording import Recording
from engine.spread import Slice


class FromFeatures:
    """A file of features as a :class:`engine.predictor.Predictor`. Its summaries are not kept: the file is."""

    def __init__(self, file: FeaturesFile, layers: Sequence[str]) -> None:
        self.name, self.layers = file.path.stem, layers
        digest = file.digest()
        self.key: Mapping[str, object] = {"features": digest}
        self.about: Mapping[str, object] = {"name": self.name, "features": str(file.path), "sha256": digest}
        self._file = file

    def stimuli(self, recording: Recording, stages: Stages) -> str:
        """Digest of the stimulus ids. InputError where the file lacks one."""
        ids = self._ids(recording)
        self._file.rows(ids)
        return hashlib.sha256("\n".join(ids).encode()).hexdigest()

    def known(self, recording: Recording) -> bool:
        """Always: there is no picture to decode."""
        return True

    def demand(self, recording: Recording, *, cache: Path, budget: int, readers: bool = False) -> Demand:
        """One slice of a layer at a time: as it is read, and as it is summarised."""
        rows = len(recording.stimuli)
        units = {layer: self._file.units(layer) for layer in self.layers}
        passes = [own for layer in self.layers for own in pieces(_one_by_one(units[layer], rows, budget, layer), units)]
        return Demand(0, passes, rows, rows, 0, 0, units)

    def summaries(
        self, recording: Recording, *, cache: Path, budget: int, stages: Stages, readers: Sequence[Reader] = ()
    ) -> Iterator[Layer]:
        """Read from the file, layer by layer."""
        reading = {}
        if readers:
            reading = {each: Reading(each, readers, self._file.arrays[each].shape[1:]) for each in self.layers}
        advance = stages.stage(f"{recording.name}: {self.name}", len(self.layers), "layers")
        made = feature_summaries(self._file, self.layers, self._ids(recording), budget=budget, read=reading)
        for layer, summary in made:
            advance(1)
            yield Layer(layer, summary, reading[layer].states if readers else ())

    @staticmethod
    def _ids(recording: Recording) -> list[str]:
        return recording.stimuli.index.astype(str).tolist()


def _one_by_one(units: int, rows: int, budget: int, layer: str) -> list[list[Slice]]:
    return [[piece] for every in plan({layer: units}, rows, budget) for piece in every]
