"""Layers of a model over a recording's stimuli: decoded, placed, resized, run, summarised, kept for the next time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import jax
import numpy as np

from engine import hosts, store
from engine.activations import Apply, batch_size, image_passes, layer_summaries, plan
from engine.errors import InputError
from engine.field_of_view import check_known
from engine.memory.passes import Demand, pieces
from engine.metrics.metric import Reader
from engine.predictor import Layer, Reading, Stages
from engine.principal_components import Components, components_summary
from engine.recording import Recording
from engine.reduction import Reduction, reduced, reduced_shape
from engine.stimuli import WHOLE, View, digest, pixels, prepare_all
from engine.store.pixels import load_digest, pixels_key, save_digest
from models.port import Model, layer_shapes, parameter_count
from models.preprocessing import prepare
from models.spec import ModelSpec

# The last pixels of this process with what was done to them, for its next job.
_last: list[Any] = []

EXTRACTION = "1"  # version of everything between pixels and Gram matrix; part of every summary's key


class FromModel:
    """A model as a :class:`engine.predictor.Predictor`.

    Keeps the pixels of the recording it was shown last (size² x 3 bytes a stimulus), so that a digest and the
    summaries after it decode once, and so does the next model of this process with the same input.
    """

    def __init__(
        self,
        model: Model,
        layers: Sequence[str],
        view: View = WHOLE,
        reduction: Reduction | Components | None = None,
        digests: Path | None = None,
    ) -> None:
        """``digests`` is a folder where digests of pixels are kept, so that known pictures are not decoded for them."""
        spec, weights = model.spec, model.spec.weights
        self.name, self.layers = spec.name, layers
        self.key: Mapping[str, object] = {
            "extraction": EXTRACTION,
            "model": spec.name,
            "weights": model.weights_digest,
            # What is done to the pixels after their digest was taken.
            "normalisation": [spec.preprocessing.mean, spec.preprocessing.std],
        } | ({"reduction": _key(reduction, spec, view)} if reduction else {})
        self.about: Mapping[str, object] = {
            "name": spec.name,
            "weights": model.weights_digest,
            "licence": weights.licence if weights and model.pinned else None,
            "citation": spec.citation if model.pinned else None,
            "preprocessing": asdict(spec.preprocessing) | {"resize": spec.preprocessing.shorter_side},
        }
        self._model, self._view, self._reduction = model, view, reduction
        self._shown: tuple[Recording, np.ndarray, str] | None = None
        self._reference: np.ndarray | None = None
        self._digests = digests
        self._known: tuple[Recording, str] | None = None
        self._named: tuple[Recording, str | None] | None = None
        self._shapes: dict[str, tuple[int, ...]] | None = None

    def stimuli(self, recording: Recording, stages: Stages) -> str:
        """Digest of the pixels that the model is given.

        Raises:
            InputError: as :func:`pixels` says.
        """
        found = self._recalled(recording)
        if found is None:
            found = self._seen(recording, stages)[1]
            name = self._pixels_key(recording)
            if name is not None and self._digests is not None:
                save_digest(self._digests, name, found)
            self._known = recording, found
        return found

    def known(self, recording: Recording) -> bool:
        """Whether the digest of its pixels is known from before."""
        return self._recalled(recording) is not None

    def demand(self, recording: Recording, *, cache: Path, budget: int, readers: bool = False) -> Demand:
        """The passes over the layers that are not at hand; all of them where the pixels are not known yet."""
        seen, missing = self._recalled(recording), list(self.layers)
        if seen is not None and not readers:
            missing = [layer for layer in missing if not store.has_summary(cache, self._layer_key(layer, seen))]
        stimuli = len(recording.stimuli)
        if not missing:
            return Demand(0, (), stimuli, 0, 0, len(self.layers), {})
        if self._shapes is None:
            self._shapes = layer_shapes(self._model.spec)
        shapes, count = {layer: self._shapes[layer] for layer in self._shapes if layer in missing}, 0
        if isinstance(self._reduction, Components):
            count = len(self._reduction.reference.images)
        elif self._reduction:
            shapes = {layer: reduced_shape(shape, self._reduction) for layer, shape in shapes.items()}
        units = {layer: prod(shape) for layer, shape in shapes.items()}
        rows, size = stimuli + count, self._model.spec.preprocessing.size
        kept = self._shown or (_last[1] if _last and _last[0] == self._treatment() else None)
        there = kept is not None and kept[0] is recording
        weights = 0 if "_made" in vars(self._model) else 4 * parameter_count(self._model.spec)
        decoded = (0 if there else stimuli) + (count if self._reference is None else 0) + (rows if count else 0)
        # On a CPU few images pass through all layers together; elsewhere a batch, of which XLA frees what is used up.
        batch, whole = batch_size(rows), [prod(shape) for shape in self._shapes.values()]
        at_once = self._model.spec.port().images_at_once
        inside = 4 * (at_once * sum(whole) if jax.default_backend() == "cpu" else 3 * batch * max(whole))
        passes = pieces(plan(units, rows, budget), units)
        return Demand(
            size**2 * 3 * decoded, passes, rows, batch, inside, len(self.layers) - len(missing), units, weights
        )

    def _recalled(self, recording: Recording) -> str | None:
        """The digest of the pixels, where it can be told without decoding them."""
        if self._known is None or self._known[0] is not recording:
            name = self._pixels_key(recording)
            found = None if name is None or self._digests is None else load_digest(self._digests, name)
            if found is None:
                return None
            self._known = recording, found
        return self._known[1]

    def _pixels_key(self, recording: Recording) -> str | None:
        """Of the pictures and all that is done to them; None where digests are not kept."""
        if self._digests is None or recording.images is None:
            return None
        if self._named is None or self._named[0] is not recording:
            check_known([recording], self._view.degrees)
            preprocessing = self._model.spec.preprocessing
            treatment = {
                "preprocessing": asdict(preprocessing) | {"resize": preprocessing.shorter_side},
                "view": asdict(self._view),
                "degrees": recording.degrees,
            }
            self._named = recording, pixels_key(recording.images, treatment)
        return self._named[1]

    def _treatment(self) -> object:
        """What pixels depend on beside the recording."""
        return self._model.spec.preprocessing, self._view

    def _layer_key(self, layer: str, seen: str) -> str:
        return store.key({**self.key, "layer": layer, "stimuli": seen})

    def summaries(
        self, recording: Recording, *, cache: Path, budget: int, stages: Stages, readers: Sequence[Reader] = ()
    ) -> Iterator[Layer]:
        """Those at hand first, then the others as the model makes them, kept at once."""
        seen = self.stimuli(recording, stages)
        keys = {layer: self._layer_key(layer, seen) for layer in self.layers}
        missing = []
        for layer in self.layers:
            summary = None if readers else store.load_summary(cache, keys[layer], stages.say)
            if hosts.everywhere(summary is not None) and summary is not None:
                yield Layer(layer, summary)
            else:
                missing.append(layer)
        if not missing:
            return
        images, decoded = self._seen(recording, stages)
        if decoded != seen:
            raise InputError(f"the pictures of {recording.name} changed while they were scored; start again")
        if self._shapes is None:
            self._shapes = layer_shapes(self._model.spec)
        shapes = {layer: shape for layer, shape in self._shapes.items() if layer in missing}
        apply: Apply = self._model.apply
        stimuli, count = len(images), 0
        if isinstance(self._reduction, Components):
            count = self._reduction.size
            images = np.concatenate([images, self._fitted(self._reduction, stages)])
        elif self._reduction:
            apply = reduced(apply, shapes, self._reduction)
            shapes = {layer: reduced_shape(shape, self._reduction) for layer, shape in shapes.items()}
        units = {layer: prod(shape) for layer, shape in shapes.items()}
        reading = {layer: Reading(layer, readers, shape) for layer, shape in shapes.items()} if readers else {}
        advance = stages.stage(f"{recording.name}: {self.name}", image_passes(units, len(images), budget), "images")
        keep = True
        made = layer_summaries(apply, self._model.params, units, images, budget=budget, advance=advance, read=reading)
        for layer, summary in made:
            if count:
                summary = components_summary(summary, stimuli, count)
            try:
                if keep and hosts.is_first():
                    store.save_summary(cache, keys[layer], summary)
            except OSError as error:
                keep = False
                stages.say(f"layer summaries are not kept for another run: {error.strerror} in '{cache}'")
            yield Layer(layer, summary, reading[layer].states if readers else ())
        if hosts.is_first():
            store.evict(cache, store.size_limit())

    def _seen(self, recording: Recording, stages: Stages) -> tuple[np.ndarray, str]:
        """The pixels and their digest."""
        if self._shown is None or self._shown[0] is not recording:
            self._model.params  # noqa: B018  # weights that do not fit are told before pictures are decoded
            treatment = self._treatment()
            if not _last or _last[0] != treatment or _last[1][0] is not recording:
                self._shown = None  # let go of the last recording's before the next are made
                _last.clear()
                images = pixels(recording, self._model.spec, self._view, stages)
                _last[:] = [treatment, (recording, images, digest(images))]
            self._shown = _last[1]
        return self._shown[1:]

    def _fitted(self, components: Components, stages: Stages) -> np.ndarray:
        """The pixels of the reference images. They are nobody's stimuli: each fills the input, whatever its width."""
        if self._reference is None:
            images = components.reference.images
            advance = stages.stage("reduction.images: decoding", len(images), "images")
            spec, fit = self._model.spec, self._view.fit
            self._reference = prepare_all(
                images, lambda image: prepare(image, spec.preprocessing, fit), advance=advance
            )
        return self._reference


def _key(reduction: Reduction | Components, spec: ModelSpec, view: View) -> Mapping[str, object]:
    """Everything that can change what is left of a layer."""
    if isinstance(reduction, Reduction):
        return asdict(reduction)
    # The stimuli's pixels are in every key, by their digest; of these images, the files and what is done to them.
    return {
        "kind": "pca",
        "size": reduction.size,
        "images": reduction.reference.digest,
        "fit": view.fit,
        "preprocessing": asdict(spec.preprocessing) | {"resize": spec.preprocessing.shorter_side},
    }
