"""Macaque face patches, maps of responses over natural images (Arcaro et al. 2020, published by Linsley et al. 2023).

14 images of 16 x 16 degrees for each monkey, shown at 17 x 17 (George) or 9 x 9 (Red) positions around the receptive
field of an array. George has an array in PL and one in ML, Red one in ML. A map is the mean response in a window of
time; Linsley et al. take 130 to 170 ms for George's ML and 90 to 130 ms for the others.

The archive has no published checksum, so the user brings it: ``path`` names the folder that holds George and Red.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from engine.datasets import DatasetInfo, choose
from engine.errors import InputError
from engine.fetch import Fetch, RemoteFile
from engine.images import FileImages
from engine.recording import Recording
from engine.spatial_maps_file import in_window, posterior, read_maps

ADDRESS = "https://storage.googleapis.com/serrelab-public/neural_recordings/Arcaro2020.zip"
FILES = {
    "George": ("George/george_060118_data.mat", "George/natural_test"),
    "Red": ("Red/red_062419_data.mat", "Red/red_naturalface"),
}
WINDOWS = {("George", "PL"): (90, 130), ("George", "ML"): (130, 170), ("Red", "ML"): (90, 130)}
DEGREES = 16.0  # Arcaro et al. 2020, figure 1

INFO = DatasetInfo(
    name="arcaro2020",
    summary="macaque face patches PL and ML: maps of 95 sites over 14 images, for metric=spatial_map; bring the files",
    regions=("PL", "ML"),
    licence="none given by the publishers: download, do not redistribute",
    citation=(
        "Arcaro, Ponce & Livingstone (2020). The neurons that mistook a hat for a face. eLife 9:e53798. Linsley et al. "
        "(2023). Performance-optimized deep neural networks are evolving into worse models of inferotemporal visual "
        "cortex. NeurIPS 36"
    ),
    megabytes=None,
    options={
        "path": "folder with George and Red in it, the unpacked archive; needed",
        "monkeys": "which monkeys, e.g. [Red]; default all",
        "window": "[start, stop] in ms for all arrays; default 130 to 170 for George's ML, 90 to 130 for the others",
        "parity": "true to take 33 of George's channels for PL as the published code does; default false: 32",
    },
    address=ADDRESS,
)


def files(options: Mapping[str, object]) -> list[RemoteFile]:
    """None: without a checksum nothing is downloaded."""
    return []


def load(options: Mapping[str, object], fetch: Fetch) -> list[Recording]:
    """One recording for each monkey, which saw images of its own."""
    monkeys = choose("monkey", options.get("monkeys"), list(FILES), list(FILES))
    window, parity = _window(options.get("window")), options.get("parity") or False
    if not isinstance(parity, bool):
        raise InputError(f"dataset.parity={parity}: wanted true or false")
    if options.get("path") is None:
        raise InputError(
            f"dataset.path is needed: no checksum of this data set is published, so it is not downloaded. "
            f"Get {ADDRESS}, unpack it, and give dataset.path=FOLDER, with George and Red in it"
        )
    folder = Path(str(options["path"])).expanduser()
    absent = [folder / part for monkey in monkeys for part in FILES[monkey] if not (folder / part).exists()]
    if absent:
        raise InputError(
            f"dataset.path={folder}: there is no {absent[0]}; wanted the folder with {' and '.join(monkeys)} in it, as "
            f"{ADDRESS} unpacks, or dataset.monkeys=[NAME] to read one"
        )
    return [recording(folder, monkey, window, parity=parity) for monkey in monkeys]


def recording(folder: Path, monkey: str, window: tuple[int, int] | None, *, parity: bool) -> Recording:
    """Reads one monkey; ``window`` None takes that of each array."""
    data, pictures = (folder / part for part in FILES[monkey])
    maps = read_maps(data)
    channels = maps.responses.shape[-1]
    if monkey == "George":
        regions = np.where(posterior(channels, parity=parity), "PL", "ML")
    else:
        regions = np.full(channels, "ML")
    averages = {region: in_window(maps, *(window or WINDOWS[monkey, region])) for region in dict.fromkeys(regions)}
    neuroids = pd.DataFrame(
        {"region": regions, "subject": monkey},
        index=pd.Index([f"{monkey}/{number}" for number in range(1, channels + 1)], name="neuroid_id"),
    )
    ids = list(maps.images)
    return Recording(
        name=f"{INFO.name}/{monkey}",
        stimuli=pd.DataFrame(index=pd.Index(ids, name="stimulus_id")),
        neuroids=neuroids,
        images=FileImages([pictures / name for name in maps.images], ids),
        maps=np.stack([averages[region][..., channel] for channel, region in enumerate(regions)], axis=-1),
        degrees=DEGREES,
        licence=INFO.licence,
        citation=INFO.citation,
        source={ADDRESS: "no checksum is published"},
    )


def _window(given: object) -> tuple[int, int] | None:
    if given is None:
        return None
    match given:
        case [int(start), int(stop)]:
            return start, stop
    raise InputError(f"dataset.window={given}: wanted [start, stop] in whole ms, such as [90,130]")
