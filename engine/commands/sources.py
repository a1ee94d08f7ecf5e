"""Recordings by what the user typed: a known data set with its options, or a file of the user's own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine import datasets, fetch
from engine.errors import InputError
from engine.recording import Recording

Show = Callable[[fetch.RemoteFile, int, int | None], None]


def mirror_folder(setting: str | None) -> Path | None:
    """The mirror that the setting names, else the one CORTICALIGN_MIRROR names, if any."""
    return Path(setting).expanduser() if setting else fetch.default_mirror()


def recordings(dataset: Mapping[str, object], mirror: Path | None, show: Show | None) -> list[Recording]:
    """Loads the recordings of a data set, downloading what is missing.

    Args:
        dataset: ``name`` and the data set's options; ``name`` ``file`` takes ``path``.
        mirror: folder laid out <host>/<path> in place of the network.
        show: called with the progress of downloads.
    """
    options = {key: value for key, value in dataset.items() if key != "name"}
    name = str(dataset["name"])
    if name == "file":
        from engine.recording_file import read

        path = Path(str(options["path"])).expanduser()
        if not path.is_file():
            raise InputError(f"there is no recording at '{path}'; 'corticalign dataset import' makes one")
        return _kept((name, options, _states([path])), lambda: [read(path)])
    cache = fetch.default_cache()
    paths = fetch.fetch_all(datasets.files(name, options), cache=cache, mirror=mirror, progress=show)

    def get(file: fetch.RemoteFile) -> Path:
        return fetch.fetch(file, cache=cache, mirror=mirror, progress=show)

    if "path" in options:  # a folder of the user's own, of which nothing tells that it is unchanged
        return datasets.load(name, options, get)
    return _kept((name, options, _states(paths)), lambda: datasets.load(name, options, get))


_last: list[tuple[object, list[Recording]]] = []  # of this process, for its next job; of one data set at most


def _kept(source: object, load: Callable[[], list[Recording]]) -> list[Recording]:
    """The recordings of the last job where they come from the same source, else those that ``load`` gives."""
    if not _last or _last[0][0] != source:
        _last.clear()
        _last.append((source, load()))
    return _last[0][1]


def _states(paths: Sequence[Path]) -> list[tuple[object, ...]]:
    """What differs after a file was changed."""
    found = [(path.absolute(), path.stat()) for path in paths]
    return [(path, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino) for path, state in found]
