"""The public data sets, by name. A data set's module is imported when it is asked for."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from engine import fetch
from engine.errors import InputError, unknown

if TYPE_CHECKING:
    from engine.recording import Recording

_MODULES = {
    name: f"engine.datasets.{name.replace('-', '_')}"
    for name in (
        "sim",
        "cowley2023-v4",
        "henaff2021-v1",
        "images92",
        "majajhong2015-public",
        "freemanziemba2013-public",
        "arcaro2020",
    )
}


@dataclass(frozen=True)
class DatasetInfo:
    """What a user may want to know of a data set before getting it.

    Attributes:
        name: as typed on the command line.
        summary: one line: species, regions, how many stimuli and neuroids.
        regions: the recorded regions.
        licence, citation: of the data.
        megabytes: size of the download with default options; None where nothing is downloaded and nobody states it.
        options: option -> what it takes and its default.
        address: where the user gets the files, where no checksum is published by which this program could check them.
    """

    name: str
    summary: str
    regions: tuple[str, ...]
    licence: str
    citation: str
    megabytes: float | None
    options: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None


class _Module(Protocol):
    INFO: DatasetInfo

    def files(self, options: Mapping[str, object]) -> list[fetch.RemoteFile]: ...

    def load(self, options: Mapping[str, object], fetch: fetch.Fetch) -> "list[Recording]": ...


def names() -> list[str]:
    """The names of all data sets."""
    return list(_MODULES)


def info(name: str) -> DatasetInfo:
    """Description of one data set. Raises InputError for an unknown name, naming the nearest."""
    return _module(name).INFO


def files(name: str, options: Mapping[str, object]) -> list[fetch.RemoteFile]:
    """The files that `load` reads with these options. Raises InputError as `load` does; reads nothing."""
    module = _module(name)
    _check_options(module.INFO, options)
    return module.files(options)


def load(name: str, options: Mapping[str, object], fetch: fetch.Fetch) -> "list[Recording]":
    """The recordings of a data set, one per set of stimuli that were shown together.

    Raises:
        InputError: unknown data set, option or option value; a file that cannot be had; files that do not fit
            each other.
    """
    module = _module(name)
    _check_options(module.INFO, options)
    return module.load(options, fetch)


def on_disk(name: str, options: Mapping[str, object], mirror: Path | None, cache: Path) -> tuple[int, int]:
    """How many of the files lie in the mirror or the cache, and how many there are."""
    wanted = files(name, options)
    return sum(fetch.on_disk(file, cache=cache, mirror=mirror) for file in wanted), len(wanted)


def choose(kind: str, given: object, known: Sequence[str], default: Sequence[str]) -> list[str]:
    """The entries of ``known`` that an option names, in the order of ``known``.

    ``given`` is one name or number, a list of them, "all", or None for the default.
    Raises InputError for an unknown entry, naming the nearest.
    """
    if given is None:
        return list(default)
    asked = [given] if isinstance(given, str | int) else list(cast("Sequence[object]", given))
    if [str(entry) for entry in asked] == ["all"]:
        return list(known)
    if not asked:
        raise InputError(f"no {kind} was chosen; name at least one of {', '.join(known)}")
    for entry in asked:
        if str(entry) not in known:
            raise unknown(kind, entry, known)
    chosen = {str(entry) for entry in asked}
    return [entry for entry in known if entry in chosen]


def _module(name: str) -> _Module:
    if name not in _MODULES:
        raise unknown("data set", name, _MODULES)
    return cast(_Module, importlib.import_module(_MODULES[name]))


def _check_options(info: DatasetInfo, options: Mapping[str, object]) -> None:
    for option in options:
        if option not in info.options:
            raise unknown(f"option of the data set {info.name}", option, info.options)
