"""Layers of a model over a recording's stimuli: decoded, placed, resized, run, summarised, kept for the next time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy as np

from engine import store
from engine.activations import Apply, image_passes, layer_summaries
from engine.errors import InputError
from engine.field_of_view import check_known, place
from engine.metrics.metric import Reader
from engine.predictor import Layer, Reading, Stages
from engine.principal_components import Components, components_summary
from engine.recording import Recording
from engine.reduction import Reduction, reduced, reduced_shape
from engine.stimuli import digest, prepare_all
from engine.store.pixels import load_digest, pixels_key, save_digest
from models.port import Model, layer_shapes
from models.preprocessing import Fit, prepare
from models.spec import ModelSpec

EXTRACTION = "1"  # version of everything between pixels and Gram matrix; part of every summary's key


@dataclass(frozen=True)
class View:
    """How stimuli are brought to a model's input.

    Attributes:
        fit: ``squash`` or ``crop``, as :func:`models.preprocessing.prepare` says.
        degrees: width of the model's field of view, on which stimuli are placed by their own width first
            (:func:`engine.field_of_view.place`); None: every stimulus fills the input, however wide it was.
            What ``crop`` cuts away afterwards was part of that field.
    """

    fit: Fit = "squash"
    degrees: float | None = None


class FromModel:
    """A model as a :class:`engine.predictor.Predictor`.

    Keeps the pixels of the recording it was shown last (size² x 3 bytes a stimulus), so that a digest and the
    summaries after it decode once.
    """

    def __init__(
        self,
        model: Model,
        layers: Sequence[str],
        view: View = View(),
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

    def stimuli(self, recording: Recording, stages: Stages) -> str:
        """Digest of the pixels that the model is given.

        Raises:
            InputError: as :func:`pixels` says.
        """
        if self._known is None or self._known[0] is not recording:
            name = None
            if self._digests is not None and recording.images is not None:
                check_known([recording], self._view.degrees)
                preprocessing = self._model.spec.preprocessing
                treatment = {
                    "preprocessing": asdict(preprocessing) | {"resize": preprocessing.shorter_side},
                    "view": asdict(self._view),
                    "degrees": recording.degrees,
                }
                name = pixels_key(recording.images, treatment)
            found = None if name is None or self._digests is None else load_digest(self._digests, name)
            if found is None:
                found = self._seen(recording, stages)[1]
                if name is not None and self._digests is not None:
                    save_digest(self._digests, name, found)
            self._known = recording, found
        return self._known[1]

    def summaries(
        self, recording: Recording, *, cache: Path, budget: int, stages: Stages, readers: Sequence[Reader] = ()
    ) -> Iterator[Layer]:
        """Those at hand first, then the others as the model makes them, kept at once."""
        seen = self.stimuli(recording, stages)
        keys = {layer: store.key({**self.key, "layer": layer, "stimuli": seen}) for layer in self.layers}
        missing = []
        for layer in self.layers:
            summary = None if readers else store.load_summary(cache, keys[layer], stages.say)
            if summary is None:
                missing.append(layer)
            else:
                yield Layer(layer, summary)
        if not missing:
            return
        images, decoded = self._seen(recording, stages)
        if decoded != seen:
            raise InputError(f"the pictures of {recording.name} changed while they were scored; start again")
        shapes = {layer: shape for layer, shape in layer_shapes(self._model.spec).items() if layer in missing}
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
                if keep:
                    store.save_summary(cache, keys[layer], summary)
            except OSError as error:
                keep = False
                stages.say(f"layer summaries are not kept for another run: {error.strerror} in '{cache}'")
            yield Layer(layer, summary, reading[layer].states if readers else ())
        store.evict(cache, store.size_limit())

    def _seen(self, recording: Recording, stages: Stages) -> tuple[np.ndarray, str]:
        """The pixels and their digest."""
        if self._shown is None or self._shown[0] is not recording:
            self._shown = None  # let go of the last recording's before the next are made
            images = pixels(recording, self._model.spec, self._view, stages)
            self._shown = recording, images, digest(images)
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


def pixels(recording: Recording, spec: ModelSpec, view: View, stages: Stages) -> np.ndarray:
    """The recording's stimuli as the model takes them: stimuli x size x size x 3, uint8.

    Raises:
        InputError: the recording has no images, or one cannot be decoded; or the view asks for degrees of visual
            angle that the recording does not state or that fit no picture.
    """
    if recording.images is None:
        raise InputError(f"recording '{recording.name}' holds no images: a model cannot be shown its stimuli")
    check_known([recording], view.degrees)
    advance = stages.stage(f"{recording.name}: decoding", len(recording.images), "images")

    def seen(image: np.ndarray) -> np.ndarray:
        if view.degrees is not None and recording.degrees is not None:
            image = place(image, recording.degrees, view.degrees)
        return prepare(image, spec.preprocessing, view.fit)

    return prepare_all(recording.images, seen, advance=advance)
