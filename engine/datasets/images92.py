"""92 object images: human EVC and IT, and the human and monkey IT of Kriegeskorte et al. (2008).

Only dissimilarities between images were published, no responses, so this recording serves representational
similarity and not regression. Regions:

EVC, IT          15 people, fMRI (Cichy et al. 2014), one RDM each
IT-human-2008    4 people, fMRI, mean RDM of two sessions; their mean is the published RDM of 316 voxels
IT-monkey-2008   one RDM over 674 neurons of two monkeys

A dissimilarity is 1 - r between two response patterns. The pictures are those inside the 2008 file, on the
grey they were shown on; the JPEG copies that come with the RDMs of the 15 people are on white.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat
from scipy.spatial.distance import squareform

from engine.datasets import DatasetInfo
from engine.fetch import Fetch, RemoteFile
from engine.images import ArrayImages
from engine.recording import Recording

_NET2BRAIN = (
    "https://raw.githubusercontent.com/cvai-roig-lab/Net2Brain/05ac462951ef792ff2ba70c4b97d5409a8e44289/"
    "input_data/brain_data/92images/"
)
_RSATOOLBOX = (
    "https://raw.githubusercontent.com/rsagroup/rsatoolbox/f1f83cadb7243492a1aae7460466e0f0140b20ac/demos/92imageData/"
)
EVC = RemoteFile(_NET2BRAIN + "fmri_EVC_RDMs.npz", git_blob="28fe9606fbc3a5162aa922d4d3076473e09943dd", bytes=1015948)
IT = RemoteFile(_NET2BRAIN + "fmri_IT_RDMs.npz", git_blob="045628afd66254c58432461d19c94fe678c28034", bytes=1015948)
HUMANS_2008 = RemoteFile(
    _RSATOOLBOX + "92_brainRDMs.mat", git_blob="4794ee3dfc60981f8dc4da37ddb1a161a6a05f14", bytes=224663
)
SUPPLEMENT_2008 = RemoteFile(
    _RSATOOLBOX + "Kriegeskorte_Neuron2008_supplementalData.mat",
    git_blob="609e2e216ea6ba4f4e4dd3a19cd0d96522f981f4",
    bytes=3603779,
)
FILES = (EVC, IT, HUMANS_2008, SUPPLEMENT_2008)

INFO = DatasetInfo(
    name="images92",
    summary="human EVC and IT (15 people), human IT (4) and monkey IT: dissimilarities of 92 object images",
    regions=("EVC", "IT", "IT-human-2008", "IT-monkey-2008"),
    licence="none given for the data; the repositories that hold them are MIT",
    citation=(
        "Kriegeskorte et al. (2008). Matching categorical object representations in inferior temporal cortex "
        "of man and monkey. Neuron 60:1126-1141. Cichy, Pantazis & Oliva (2014). Resolving human object "
        "recognition in space and time. Nature Neuroscience 17:455-462"
    ),
    megabytes=sum(file.bytes or 0 for file in FILES) / 1e6,
)


def files(options: Mapping[str, object]) -> list[RemoteFile]:
    """Two files of RDMs of 15 people, two of 2008."""
    return list(FILES)


def load(options: Mapping[str, object], fetch: Fetch) -> list[Recording]:
    """One recording, of RDMs."""
    source = {file.url: file.checksum for file in FILES}
    return [recording(fetch(EVC), fetch(IT), fetch(HUMANS_2008), fetch(SUPPLEMENT_2008), source)]


def recording(evc: Path, it: Path, humans: Path, supplement: Path, source: Mapping[str, str]) -> Recording:
    """Reads the four files, which list the images in one order."""
    extra = loadmat(supplement)
    by_name = {str(rdm["name"].item()): rdm["RDM"].ravel() for rdm in extra["RDMs_mIT_hIT_fig1"].ravel()}
    sessions = loadmat(humans)["RDMs"]["RDM"][0]  # people x sessions, each an RDM
    stimuli = extra["stimuli_92objs"].ravel()
    return Recording(
        name=INFO.name,
        stimuli=_table(stimuli),
        neuroids=pd.DataFrame({"region": [], "subject": []}, index=pd.Index([], name="neuroid_id")),
        images=ArrayImages(np.stack([stimulus["image"] for stimulus in stimuli])),
        rdms={
            "EVC": _fifteen(evc),
            "IT": _fifteen(it),
            "IT-human-2008": np.stack([np.mean(np.stack(list(one)), axis=0, dtype=float) for one in sessions]),
            "IT-monkey-2008": squareform(by_name["mIT_674neurons"])[None],
        },
        degrees=2.9,
        licence=INFO.licence,
        citation=INFO.citation,
        source=source,
    )


def _table(stimuli: np.ndarray) -> pd.DataFrame:
    """Category of each image, in words and as yes or no."""
    columns = {"animate": "animal", "human": "human", "face": "face", "natural": "natural"}
    return pd.DataFrame(
        {"category": [str(stimulus["category"].item()) for stimulus in stimuli]}
        | {ours: [bool(stimulus[theirs].item()) for stimulus in stimuli] for ours, theirs in columns.items()},
        index=pd.Index([f"image_{number:02d}" for number in range(1, len(stimuli) + 1)], name="stimulus_id"),
    )


def _fifteen(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        rdms: np.ndarray = archive["Net_RDM"]
    return rdms
