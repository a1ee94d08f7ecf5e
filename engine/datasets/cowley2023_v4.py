"""Macaque V4, 50 sessions of three monkeys (Cowley, Stan, Pillow & Smith 2023, 2026).

A session shows its own 400 to 3000 images to its own 21 to 89 neurons, so each session is one recording, and
stimulus and neuroid ids carry the session. Spike counts are of 100 ms.

By default the session's averages over repeats are read: small, and enough to score, but without a noise
ceiling. With ``trials`` the single presentations are read instead, whose means the averages are. Which of the
two is read never depends on what happens to lie on the disk.

The archives hold ``imageNNNN.jpg``, in any order and in one case inside a folder; the number gives the place
in the responses. Image kinds are mixed (photographs, high-contrast "gaudy" versions, images made to excite
neurons) and not labelled. Five sessions were published without their images.
"""

import re
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from engine.datasets import DatasetInfo, choose, pins
from engine.errors import InputError
from engine.fetch import Fetch, RemoteFile
from engine.images import ZipImages
from engine.recording import Recording

BASE = (
    "https://raw.githubusercontent.com/cowleygroup/V4_compact_models/"
    "f4552ad9d34a466ebc66658f72a08a8e5038f1cf/data_V4_responses/"
)
PATHS = {
    "images": "images/images_{}.zip",
    "averages": "responses_repeat_averaged/responses_{}.npy",
    "trials": "responses_raw/responses_{}.npy",
}
DEFAULT = "190925"
NUMBERED = re.compile(r"image(\d+)\.jpe?g", re.IGNORECASE)

INFO = DatasetInfo(
    name="cowley2023-v4",
    summary="macaque V4: 50 sessions of 21 to 89 neurons, each with 400 to 3000 colour images of 112 x 112",
    regions=("V4",),
    licence="none for the data, the repository that holds them is GPL-3.0: download, do not redistribute",
    citation=(
        "Cowley, Stan, Pillow & Smith (2026). Compact deep neural network models of the visual cortex. "
        "Nature, doi:10.1038/s41586-026-10150-1; bioRxiv 2023.11.22.568315"
    ),
    megabytes=4.3,
    options={
        "sessions": f"which sessions, e.g. [190925,190927], or all (those with images); default [{DEFAULT}]",
        "trials": "true to read single presentations, which a noise ceiling needs; default false: averages",
    },
)


def files(options: Mapping[str, object]) -> list[RemoteFile]:
    """Two files per session: its images and its responses."""
    return [file for pair in _chosen(options).values() for file in pair]


def load(options: Mapping[str, object], fetch: Fetch) -> list[Recording]:
    """One recording per session, in the order of their dates."""
    recordings = []
    for session, (pictures, responses) in _chosen(options).items():
        recordings.append(
            recording(
                session,
                monkey=_sessions()[session]["monkey"],
                pictures=fetch(pictures),
                responses=fetch(responses),
                source={file.url: file.checksum for file in (pictures, responses)},
            )
        )
    return recordings


def recording(session: str, *, monkey: str, pictures: Path, responses: Path, source: Mapping[str, str]) -> Recording:
    """Reads the files of one session.

    Responses are neurons x images (averages), or neurons x images x repeats, NaN where there was no repeat.
    Raises InputError where the archive does not hold one numbered image for each.
    """
    counts = np.load(responses, allow_pickle=False)
    members = numbered(pictures)
    if counts.ndim not in (2, 3) or counts.shape[1] != len(members):
        raise InputError(
            f"session {session}: {pictures} holds {len(members)} images, but {responses} has shape "
            f"{counts.shape}, wanted neurons x images (x repeats)"
        )
    stimuli = [f"{session}/{PurePosixPath(member).stem}" for member in members]
    neuroids = pd.DataFrame(
        {"region": "V4", "subject": monkey, "session": session},
        index=pd.Index([f"{session}/{number}" for number in range(len(counts))], name="neuroid_id"),
    )
    return Recording(
        name=f"{INFO.name}/{session}",
        stimuli=pd.DataFrame(index=pd.Index(stimuli, name="stimulus_id")),
        neuroids=neuroids,
        images=ZipImages(pictures, members, stimuli),
        averages=counts.T if counts.ndim == 2 else None,
        repeats=counts.transpose(2, 1, 0) if counts.ndim == 3 else None,
        licence=INFO.licence,
        citation=INFO.citation,
        source=source,
    )


def numbered(archive: Path) -> list[str]:
    """The members of a zip archive named ``imageNNNN.jpg``, in whatever folder, by their numbers."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read the archive {archive}: {error}") from error
    by_number: dict[int, str] = {}
    for member in members:
        # Archives made on a Mac hold a shadow "._image0001.jpg" of each file: not a match.
        if match := NUMBERED.fullmatch(PurePosixPath(member).name):
            number = int(match[1])
            if number in by_number:
                raise InputError(f"{archive} holds two images {number}: {by_number[number]} and {member}")
            by_number[number] = member
    return [by_number[number] for number in sorted(by_number)]


@cache
def _sessions() -> dict[str, dict[str, str]]:
    return {row["session"]: row for row in pins.table("cowley2023_v4")}


def _chosen(options: Mapping[str, object]) -> dict[str, tuple[RemoteFile, RemoteFile]]:
    """Session -> its images and its responses."""
    trials = options.get("trials")
    if trials not in (None, True, False):
        raise InputError(f"{INFO.name}: trials is '{trials}'; wanted true or false")
    sessions = _sessions()
    pictured = [session for session, row in sessions.items() if row["images"] != "-"]
    given = options.get("sessions")
    chosen = pictured if given == "all" else choose("session", given, list(sessions), [DEFAULT])
    for session in chosen:
        if session not in pictured:
            raise InputError(f"session {session} was published without its images, so no model can be shown them")
    return {
        session: (_file(session, "images"), _file(session, "trials" if trials else "averages")) for session in chosen
    }


def _file(session: str, kind: str) -> RemoteFile:
    return RemoteFile(BASE + PATHS[kind].format(session), git_blob=_sessions()[session][kind])
