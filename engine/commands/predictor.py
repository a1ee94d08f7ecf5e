"""From the settings to what predicts: a model of the zoo or of the user's own, or a file of features."""

from collections.abc import Callable
from pathlib import Path

from engine.commands.schema import Score
from engine.features_file import open_features
from engine.from_features import FromFeatures
from engine.from_model import FromModel, View
from engine.predictor import Predictor, choose_layers
from engine.reduction import Reduction
from models import zoo
from models.external import entry_spec
from models.port import Choice, load
from models.weights.sources import Places


def prepared(wanted: Score) -> Callable[[Places], Predictor]:
    """Checks names, layers and files now; what it returns loads the weights.

    Raises:
        InputError: an unknown model, layer or file; names the nearest.
    """
    if wanted.features is not None:
        file = open_features(Path(wanted.features).expanduser())
        layers = choose_layers(str(file.path), file.layers, {}, wanted.layers)
        return lambda places: FromFeatures(file, layers)
    model = wanted.model
    spec = zoo.spec(model.name) if model.entry is None else entry_spec(model.entry, model.size)
    port = spec.port()
    layers = choose_layers(spec.name, port.layers, port.aliases, wanted.layers)
    choice = Choice(wanted.weights.source, wanted.weights.names, wanted.weights.seed)
    reduction = wanted.reduction
    kept = None if reduction.kind == "none" else Reduction(reduction.kind, reduction.size, reduction.seed)
    view = View(model.fit, model.visual_degrees)
    return lambda places: FromModel(load(spec, choice, places), layers, view, kept)
