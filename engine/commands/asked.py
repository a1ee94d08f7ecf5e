"""Whether a job was asked before: from its settings to the key of the request. Imports nothing heavy.

There are two steps, and each can be taken without the one before it: from words to settings, which are noted in the
store so that thousands of jobs need not be composed; and from settings to the request, whose files are read each time.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import hydra

from engine.commands.schema import Score
from engine.store import requests
from engine.store.identity import code, key
from engine.store.requests import Asked
from models.catalogue import SPECS

NAMED = ("pinned", "random")  # weights that are no file
PRACTICAL = ("output", "quiet", "memory", "mirror", "hosts")  # change no number and nothing that is kept
# Words whose meaning is not in the program and its files alone: of the environment, or of a folder of the user's own.
ELSEWHERE = ("${", "hydra.", "hydra/")


def request(wanted: Score) -> str | None:
    """Key of the request; None where what would answer is code or a folder of the user's own.

    Public data sets and the zoo's weights are pinned by the program itself, whose files are part of the key.
    """
    found = asked(wanted)
    return None if found is None else requests.request_key(found.settings, found.files)


def asked(wanted: Score) -> Asked | None:
    """What the settings ask for; None as :func:`request` says."""
    settings = {name: value for name, value in asdict(wanted).items() if name not in PRACTICAL}
    files = []
    if wanted.model.entry is not None or wanted.reduction.images is not None:
        return None
    if wanted.features is None and wanted.model.name not in {spec.name for spec in SPECS}:
        return None
    if "path" in wanted.dataset:
        files.append(str(wanted.dataset["path"]))
        settings["dataset"] = {name: value for name, value in wanted.dataset.items() if name != "path"}
    if wanted.features is not None:
        files.append(wanted.features)
        settings["features"] = Path(wanted.features).stem  # names the model in every table
    elif wanted.weights.source not in NAMED:
        files.append(wanted.weights.source)
        settings["weights"] = {**settings["weights"], "source": "file"}
    return Asked(key(settings), tuple(files), wanted.output)


def words_key(words: Sequence[str]) -> str | None:
    """Key of a job's words and of everything that gives them their meaning; None where that is not known.

    Every file of settings is in it with its content, so that a changed one is another key.
    """
    if any(mark in word for word in words for mark in ELSEWHERE):
        return None
    return key({"words": list(words), "hydra": hydra.__version__, "code": code()})


def remember(words: Sequence[str], wanted: Score, store: Path) -> None:
    """Notes what these words ask for, for :func:`answered`."""
    name, found = words_key(words), asked(wanted)
    if name is not None and found is not None:
        requests.remember_words(store, name, found)


def answered(words: Sequence[str], output: str, store: Path, complete: str) -> Path | None:
    """The folder of a finished job with these words, found without composing its settings; about 0.1 ms.

    Args:
        output: the folder of results where it is looked for; a job whose results went elsewhere is not found.
        store: in it.
        complete: file that a finished job has.
    """
    name = words_key(words)
    found = None if name is None else requests.recall_words(store, name)
    if found is None or found.output != output:
        return None
    request = requests.request_key(found.settings, found.files)
    return None if request is None else requests.find(Path(output), store, request, complete)
