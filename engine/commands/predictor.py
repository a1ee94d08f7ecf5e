"""From the settings to what predicts: a model of the zoo or of the user's own, or a file of features."""

from collections.abc import Callable
from pathlib import Path

from engine.commands import schema
from engine.commands.schema import Score
from engine.errors import InputError
from engine.features_file import open_features
from engine.fetch import default_cache
from engine.from_features import FromFeatures
from engine.from_model import FromModel
from engine.predictor import Predictor, choose_layers
from engine.principal_components import Components
from engine.reduction import Reduction
from engine.reference_images import reference_images
from engine.stimuli import View
from models import zoo
from models.external import ENTRY_SIZE, entry_spec
from models.port import Choice, Model, known
from models.sized import sized
from models.weights.sources import Places


def prepared(wanted: Score) -> Callable[[Places], Predictor]:
    """Checks names, layers and files now; what it returns loads the weights.

    Raises:
        InputError: an unknown model, layer, file or folder; names the nearest.
    """
    if wanted.features is not None:
        if wanted.reduction.kind != "none":
            raise InputError(
                f"reduction.kind={wanted.reduction.kind}: features made elsewhere are scored as they are; reduce them "
                "where they are made"
            )
        file = open_features(Path(wanted.features).expanduser())
        layers = choose_layers(str(file.path), file.layers, {}, wanted.layers)
        return lambda places: FromFeatures(file, layers)
    model = wanted.model
    spec = zoo.spec(model.name) if model.entry is None else entry_spec(model.entry, model.size or ENTRY_SIZE)
    if model.size is not None or model.resize is not None:
        spec = sized(spec, model.size, model.resize)
    port = spec.port()
    layers = choose_layers(spec.name, port.layers, port.aliases, wanted.layers)
    choice = Choice(wanted.weights.source, wanted.weights.names, wanted.weights.seed)
    view, reduction = View(model.fit, model.visual_degrees), _reduction(wanted.reduction)
    return lambda places: FromModel(
        _kept(known(spec, choice, places), choice), layers, view, reduction, default_cache()
    )


_last: list[tuple[Model, Choice]] = []  # of this process, for its next job; of one at most


def _kept(model: Model, choice: Choice) -> Model:
    """The model of the last job, with its weights in memory, where this is the same one with the same weights."""
    same = bool(_last) and _last[0][0] == model and _last[0][1] == choice
    if not same:
        _last[:] = [(model, choice)]
    return _last[0][0]


def _reduction(wanted: schema.Reduction) -> Reduction | Components | None:
    if wanted.kind == "none":
        return None
    if wanted.kind == "pca":
        assert wanted.images is not None  # as schema.typed makes sure
        return Components(wanted.size, reference_images(Path(wanted.images).expanduser(), wanted.size))
    return Reduction(wanted.kind, wanted.size, wanted.seed)
