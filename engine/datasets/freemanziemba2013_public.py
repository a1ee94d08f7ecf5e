"""Macaque V1 and V2, textures and spectrally matched noise (Freeman, Ziemba et al. 2013), the public part.

135 images behind an aperture, 4 degrees wide; 102 V1 and 103 V2 neurons, 20 presentations. The file holds
spikes per millisecond; as Brain-Score does, the response is their mean from 50 to 200 ms after onset.
Brain-Score balances its splits over ``texture_type``.
"""

from collections.abc import Mapping

from engine.datasets import DatasetInfo, brainio
from engine.fetch import Fetch, RemoteFile
from engine.recording import Recording

BASE = "https://brainscore-storage.s3.amazonaws.com/brainio-brainscore/"
ASSEMBLY = RemoteFile(
    BASE + "assy_movshon_FreemanZiemba2013_public.nc?versionId=W2vx7jdh9utZdVumHHarXa4L1zOrA8Fd",
    sha1="761c08f796db4e342555cdb60eef23a4f19ead43",
)
TABLE = RemoteFile(
    BASE + "stimulus_FreemanZiemba2013_aperture-public.csv", sha1="194c9b301a4e3e9cff02481d4c19b39331d52660"
)
PICTURES = RemoteFile(
    BASE + "stimulus_FreemanZiemba2013_aperture-public.zip", sha1="3a6fec1fc28c212882d6833e267ea8654d289611"
)

INFO = DatasetInfo(
    name="freemanziemba2013-public",
    summary="macaque V1 (102 neurons) and V2 (103), 135 textures and noise images, 20 repeats, 4 degrees",
    regions=("V1", "V2"),
    licence="none stated with the files, which Brain-Score serves to the public: cite, do not redistribute",
    citation=(
        "Freeman, Ziemba, Heeger, Simoncelli & Movshon (2013). A functional and perceptual signature of the "
        "second visual area in primates. Nature Neuroscience 16:974-981"
    ),
    megabytes=1300.0,  # estimated: 2700 x 205 x 300 numbers
)


def files(options: Mapping[str, object]) -> list[RemoteFile]:
    """Responses, stimulus table, pictures."""
    return [ASSEMBLY, TABLE, PICTURES]


def load(options: Mapping[str, object], fetch: Fetch) -> list[Recording]:
    """One recording."""
    return [
        brainio.recording(
            fetch(ASSEMBLY),
            fetch(TABLE),
            fetch(PICTURES),
            name=INFO.name,
            licence=INFO.licence,
            citation=INFO.citation,
            source={file.url: file.checksum for file in files(options)},
            degrees=4.0,
            stratum="texture_type",
            window=(50, 200),
        )
    ]
