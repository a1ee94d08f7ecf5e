"""Pictures to align with, by what the user typed: a known set, ClickMe files, or folders of one's own."""

from collections.abc import Callable
from pathlib import Path

from engine.commands.harmonize_schema import Harmonize
from engine.commands.picture_source import Source, listed, opened
from engine.errors import InputError
from engine.fetch import RemoteFile, default_cache, fetch, fetch_all
from engine.harmonize import map_folder, scene_fixations
from engine.harmonize.clickme import ClickMe, files_of
from engine.harmonize.pairs import PairExamples
from engine.harmonize.parts import Data
from engine.training.examples import Examples

Show = Callable[[RemoteFile, int, int | None], None]


def without_maps(wanted: Harmonize) -> Source | None:
    """What ``images.source`` names. InputError where there is none such, or it is empty."""
    if wanted.images.source is None:
        return None
    return opened(wanted.images.source, wanted.images.split, labelled=wanted.labels != "model")


def data(wanted: Harmonize, others: Source | None, mirror: Path | None, show: Show) -> Data:
    """Opens what ``maps.source`` names, beside the pictures :func:`without_maps`.

    Raises:
        InputError: what is missing, of the wrong form, or without the labels that ``labels=given`` asks for.
    """
    own = wanted.labels == "model"
    maps, test, described = _maps(wanted, mirror, show, own)
    if others is None:
        return Data(maps, test, None, own, described)
    described += f"; and {len(others.pictures)} pictures without maps from {wanted.images.source}"
    return Data(maps, test, others.pictures, own, described)


def identity(wanted: Harmonize, others: Source | None) -> dict[str, object]:
    """What the pictures and maps are known by, whatever folders they are in; nothing is read or fetched.

    Raises:
        InputError: a folder of maps that does not exist.
    """
    maps: dict[str, object] = {"source": wanted.maps.source, "sigma": wanted.maps.sigma}
    if wanted.maps.source != scene_fixations.NAME:
        folder = _existing(wanted.maps.source)
        maps["source"] = listed(folder, sorted(path for path in folder.rglob("*") if path.is_file()))
    images: dict[str, object] = {"share": wanted.images.share}
    if others is not None:
        images["source"] = others.identity
    return {"maps": maps, "images": images}


def _maps(wanted: Harmonize, mirror: Path | None, show: Show, own: bool) -> tuple[Examples, Examples | None, str]:
    source, sigma = wanted.maps.source, wanted.maps.sigma
    if source == scene_fixations.NAME:
        if not own:
            raise InputError(f"labels=given: {source} has no labels; leave labels=model")
        cache = default_cache()
        fetch_all(scene_fixations.files(), cache=cache, mirror=mirror, progress=show)
        scenes = scene_fixations.load(lambda file: fetch(file, cache=cache, mirror=mirror, progress=show))
        pairs = scene_fixations.pairs(scenes, {scene.name: 0 for scene in scenes}, sigma)
        return PairExamples(pairs), None, f"{len(pairs)} scenes with fixations of up to 12 people"
    folder = _existing(source)
    if (folder / "images").is_dir():
        return _folder(folder, sigma, own)
    train, test = ClickMe(files_of(folder, "train")), ClickMe(files_of(folder, "val"))
    return train, test, f"{len(train)} and {len(test)} pictures of ClickMe files in {folder}"


def _folder(folder: Path, sigma: float, own: bool) -> tuple[Examples, Examples | None, str]:
    images, labels = folder / "images", folder / "labels.csv"
    if not own and not labels.is_file():
        raise InputError(f"labels=given: there is no {labels} (columns image,label); add it, or leave labels=model")
    names = (path.stem for path in images.iterdir())
    known = map_folder.read_labels(labels) if labels.is_file() else dict.fromkeys(names, 0)
    if (folder / "maps").is_dir():
        pairs = map_folder.pairs_of_maps(images, folder / "maps", known)
    elif (folder / "fixations").is_dir():
        pairs = map_folder.pairs_of_fixations(images, folder / "fixations", sigma, known)
    else:
        raise InputError(f"maps.source={folder}: it holds images/ but neither maps/ nor fixations/ (CSV files of x,y)")
    return PairExamples(pairs), None, f"{len(pairs)} pictures with maps in {folder}"


def _existing(source: str) -> Path:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise InputError(f"maps.source={source}: there is no such folder; give one, or {scene_fixations.NAME}")
    return folder
