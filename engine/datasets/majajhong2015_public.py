"""Macaque V4 and IT, object images on natural backgrounds (Majaj, Hong et al. 2015), the public part.

3200 images of 64 objects at low and medium variation, 8 degrees wide; 88 V4 and 168 IT sites of two
monkeys, 28 or 51 presentations, mean rate 70 to 170 ms after onset. Brain-Score balances its splits over
``object_name``.
"""

from collections.abc import Mapping

from engine.datasets import DatasetInfo, brainio
from engine.fetch import Fetch, RemoteFile
from engine.recording import Recording

BASE = "https://brainscore-storage.s3.amazonaws.com/brainio-brainscore/"
ASSEMBLY = RemoteFile(BASE + "assy_dicarlo_MajajHong2015_public.nc", sha1="13d28ca0ce88ee550b54db3004374ae19096e9b9")
TABLE = RemoteFile(BASE + "stimulus_hvm-public.csv", sha1="5ca7a3da00d8e9c694a9cd725df5ba0ad6d735af")
PICTURES = RemoteFile(BASE + "stimulus_hvm-public.zip", sha1="8aa44e038d7b551efa8077467622f9d48d72e473")

INFO = DatasetInfo(
    name="majajhong2015-public",
    summary="macaque V4 (88 sites) and IT (168), 3200 object images, 28 or 51 repeats, 8 degrees",
    regions=("V4", "IT"),
    licence="none stated with the files, which Brain-Score serves to the public: cite, do not redistribute",
    citation=(
        "Majaj, Hong, Solomon & DiCarlo (2015). Simple learned weighted sums of inferior temporal neuronal "
        "firing rates accurately predict human core object recognition performance. J Neurosci 35:13402-13418"
    ),
    megabytes=500.0,  # estimated: 148,480 x 256 numbers and 3200 pictures
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
            degrees=8.0,
            stratum="object_name",
        )
    ]
