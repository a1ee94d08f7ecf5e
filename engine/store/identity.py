"""Keys: equal content, equal key, on any machine; and what can change no number is in none of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

import engine
import models

RESULT = "3"  # version of what one result holds; part of every result's key


def key(parts: Mapping[str, object]) -> str:
    """SHA-256 of the parts written as canonical JSON: equal parts, equal key, on any machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def result_parts(
    *,
    predictor: Mapping[str, object],
    names: Mapping[str, str],
    layers: Sequence[str],
    stimuli: str,
    responses: Sequence[object],
    regions: Sequence[str],
    folds: str,
    ceiling: Sequence[object],
    metric: Sequence[object],
) -> dict[str, object]:
    """Everything that can change a row of one model x recording x metric, and nothing else.

    Batch sizes, devices, folders, memory and launchers change no number. Nor does the convention by which ceilings
    enter a score: raw scores and ceilings are kept apart, and corrected afterwards.

    Args:
        predictor: weights, preprocessing, reduction, as the predictor's ``key`` says.
        names: of the model and the recording, which stand in every row.
        layers: those scored, in order: some metrics take them together.
        stimuli: digest of what the predictor is given.
        responses: digests of what was recorded, and which of its columns has a meaning of its own.
        regions: those scored.
        folds: digest of the folds themselves (:func:`folds`), whichever settings made them.
        ceiling: its estimator, and the threshold below which neuroids are left out.
        metric: name, version and settings.
    """
    return {
        "version": RESULT,
        **predictor,
        "names": dict(names),
        "layers": list(layers),
        "stimuli": stimuli,
        "responses": list(responses),
        "regions": list(regions),
        "folds": folds,
        "ceiling": list(ceiling),
        "metric": list(metric),
    }


def folds(splits: Sequence[tuple[np.ndarray, np.ndarray, Sequence[np.ndarray] | None]]) -> str:
    """SHA-256 of the index arrays of every split: train, test, and those of the inner folds where there are any."""
    sha = hashlib.sha256()
    for train, test, validation in splits:
        for part in (train, test, *(() if validation is None else validation)):
            sha.update(f"{len(part)} ".encode())
            sha.update(np.asarray(part, "<i8").tobytes())
        sha.update(b"leave one out" if validation is None else b"folds")
    return sha.hexdigest()


@cache
def code() -> str:
    """SHA-256 of every file of the program, settings and pins of downloads included; about 10 ms, once a process.

    For what is only a shortcut: after any change of the program it is not taken, and the longer way finds what was
    kept by the versions of the stages alone.
    """
    sha = hashlib.sha256()
    roots = [Path(package.__file__ or "").parent for package in (engine, models)]
    beside = roots[0].parent / "configs"  # in a checkout; in an installed wheel they lie inside engine
    for root in [*roots, *([beside] if beside.is_dir() else [])]:
        for path in sorted(root.rglob("*")):
            if path.suffix in (".py", ".tsv", ".yaml", ".json") and path.is_file():
                sha.update(f"{path.relative_to(root)}\0".encode())
                sha.update(path.read_bytes())
    return sha.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes. OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
