"""Whether a job was asked before: from its settings to the key of the request. Imports nothing heavy."""

from dataclasses import asdict
from pathlib import Path

from engine.commands.schema import Score
from engine.store.requests import request_key
from models.catalogue import SPECS

NAMED = ("pinned", "random")  # weights that are no file
PRACTICAL = ("output", "quiet", "memory", "mirror")  # change no number and nothing that is kept


def request(wanted: Score) -> str | None:
    """Key of the request; None where what would answer is code or a folder of the user's own.

    Public data sets and the zoo's weights are pinned by the program itself, whose files are part of the key.
    """
    settings = {name: value for name, value in asdict(wanted).items() if name not in PRACTICAL}
    files = []
    if wanted.model.entry is not None or wanted.reduction.images is not None:
        return None
    if wanted.features is None and wanted.model.name not in {spec.name for spec in SPECS}:
        return None
    if "path" in wanted.dataset:
        files.append(Path(str(wanted.dataset["path"])).expanduser())
        settings["dataset"] = {name: value for name, value in wanted.dataset.items() if name != "path"}
    if wanted.features is not None:
        files.append(Path(wanted.features).expanduser())
        settings["features"] = files[-1].stem  # names the model in every table
    elif wanted.weights.source not in NAMED:
        files.append(Path(wanted.weights.source).expanduser())
        settings["weights"] = {**settings["weights"], "source": "file"}
    if not all(path.is_file() for path in files):
        return None
    return request_key(settings, files)
