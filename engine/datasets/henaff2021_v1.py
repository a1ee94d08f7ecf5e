"""Macaque V1, frames of short films and of artificial sequences (Hénaff et al. 2021).

Nine populations in four anaesthetised monkeys were shown the same 440 grey pictures, 200 ms on and 100 ms
off, 50 or 60 times; they are merged into one recording, shorter populations padded with NaN. A response is
a spike count.

The files arrange responses by frame (11), film (10), category (natural, synthetic, contrast) and scale (1x,
2x). A synthetic sequence fades from the first to the last frame of the natural one, and a contrast sequence
(four films, 1x only) ends in its last frame; those 44 end points repeat the natural frames' very
presentations, number for number. A stimulus here is a picture, and each presentation counts once: the
copies are left out, since pooling them would count presentations twice and inflate the reliability.

Frames of one film resemble each other, at both scales: ``movie`` is the group that folds keep together.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from engine.datasets import DatasetInfo, choose, pins
from engine.errors import InputError
from engine.fetch import Fetch, RemoteFile
from engine.images import FileImages
from engine.recording import Recording

RESPONSES = (
    "https://raw.githubusercontent.com/wongyoJung/Primary-visual-cortex-straightens-natural-video-trajectories/"
    "2e5e06035615ad9bdab698cd83c5417ab50ddb63/V1_responses/{}_image_sequences.mat"
)
IMAGES = (
    "https://raw.githubusercontent.com/olivierhenaff/neural-straightening/"
    "63d157dc85b334b63b84246c1fdc81614f9629f3/images/acute/stimulus_fullfield/stimSelected-{}"
)
SCALES = ("zoom1x", "zoom2x")
FRAMES = {"natural": range(11), "synthetic": range(1, 10), "contrast": range(10)}  # each picture once
CONTRAST_MOVIES = (2, 4, 7, 10)  # shown at the first scale only

INFO = DatasetInfo(
    name="henaff2021-v1",
    summary="macaque V1: 360 neurons of 9 populations, 440 grey pictures (10 films), 50 to 60 repeats",
    regions=("V1",),
    licence="none given by the publishers: download, do not redistribute",
    citation=(
        "Hénaff, Bai, Charlton, Nauhaus, Simoncelli & Goris (2021). Primary visual cortex straightens "
        "natural video trajectories. Nature Communications 12:5982"
    ),
    megabytes=48.4,
    options={"populations": "which populations, e.g. [ay4_u006]; default all"},
)


def files(options: Mapping[str, object]) -> list[RemoteFile]:
    """One file per population, and the 440 pictures."""
    return [*_responses(options).values(), *_pictures()]


def load(options: Mapping[str, object], fetch: Fetch) -> list[Recording]:
    """One recording of all chosen populations."""
    populations = _responses(options)
    pictures = _pictures()
    paths = {population: fetch(file) for population, file in populations.items()}
    source = {file.url: file.checksum for file in [*populations.values(), *pictures]}
    return [recording(paths, [fetch(picture) for picture in pictures], source)]


def recording(responses: Mapping[str, Path], pictures: Sequence[Path], source: Mapping[str, str]) -> Recording:
    """Merges populations (name -> file); pictures are in the order of `conditions`."""
    stimuli = conditions()
    counts = {population: _read(path, stimuli) for population, path in responses.items()}
    repeats = np.full(
        (
            max(len(array) for array in counts.values()),
            len(stimuli),
            sum(a.shape[2] for a in counts.values()),
        ),
        np.nan,
        np.float32,  # counts are small integers, so exact
    )
    start = 0
    for array in counts.values():
        repeats[: len(array), :, start : start + array.shape[2]] = array
        start += array.shape[2]
    neuroids = pd.DataFrame(
        [
            (f"{population}/{number}", "V1", population.partition("_")[0], population)
            for population, array in counts.items()
            for number in range(array.shape[2])
        ],
        columns=["neuroid_id", "region", "subject", "session"],
    ).set_index("neuroid_id")
    return Recording(
        name=INFO.name,
        stimuli=stimuli[["movie", "category", "scale", "frame"]],
        neuroids=neuroids,
        images=FileImages(pictures, list(stimuli.index)),
        repeats=repeats,
        group="movie",
        licence=INFO.licence,
        citation=INFO.citation,
        source=source,
    )


def conditions() -> pd.DataFrame:
    """The 440 pictures: where each lies in the publishers' arrays, and which file shows it.

    Indexed by stimulus id; ``frame``, ``movie`` count from 1 as in the file names.
    """
    rows = [
        (f"{scale}/movie{movie}/{category}{frame + 1:02d}", movie, category, scale, frame + 1)
        for scale in SCALES
        for movie in range(1, 11)
        for category, frames in FRAMES.items()
        if category != "contrast" or (movie in CONTRAST_MOVIES and scale == SCALES[0])
        for frame in frames
    ]
    table = pd.DataFrame(rows, columns=["stimulus_id", "movie", "category", "scale", "frame"])
    return table.set_index("stimulus_id")


def _read(path: Path, stimuli: pd.DataFrame) -> np.ndarray:
    """One population: repeats x stimuli x units, NaN where a presentation is missing."""
    with h5py.File(path) as file:
        # MATLAB wrote (scale, category, movie, frame, unit, repeat); HDF5 shows the axes in reverse.
        counts = file["naturalStruct/sortedResponses"][:]
    if counts.ndim != 6 or counts.shape[2:] != (11, 10, len(FRAMES), len(SCALES)):
        raise InputError(
            f"{path}: sortedResponses has shape {counts.shape}; wanted repeats x units x 11 frames "
            "x 10 films x 3 categories x 2 scales"
        )
    category = stimuli["category"].map(list(FRAMES).index).to_numpy()
    scale = stimuli["scale"].map(SCALES.index).to_numpy()
    frame, movie = stimuli["frame"].to_numpy() - 1, stimuli["movie"].to_numpy() - 1
    chosen: np.ndarray = counts[:, :, frame, movie, category, scale]
    return chosen.transpose(0, 2, 1)


def _responses(options: Mapping[str, object]) -> dict[str, RemoteFile]:
    rows = {row["population"]: row for row in pins.table("henaff2021_v1_populations")}
    chosen = choose("population", options.get("populations"), list(rows), list(rows))
    return {
        name: RemoteFile(RESPONSES.format(name), git_blob=rows[name]["git_blob"], bytes=int(rows[name]["bytes"]))
        for name in chosen
    }


def _pictures() -> list[RemoteFile]:
    rows = {row["image"]: row for row in pins.table("henaff2021_v1_images")}
    return [
        RemoteFile(IMAGES.format(image), git_blob=rows[image]["git_blob"], bytes=int(rows[image]["bytes"]))
        for image in (f"{stimulus}.png" for stimulus in conditions().index)
    ]
