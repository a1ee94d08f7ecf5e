"""``corticalign cache``: the layer summaries kept between runs. No result is removed for room, only a damaged table."""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

from engine.errors import InputError
from engine.fetch import default_cache
from engine.store import summaries
from engine.store.layout import STORE


def run(given: list[str]) -> int:
    """``ls``, ``size``, ``prune`` or ``verify``. ``verify`` returns 1 where an entry was damaged."""
    parser = argparse.ArgumentParser(
        prog="corticalign cache",
        description="Layer summaries kept between runs, so that another metric or recording of the same stimuli needs "
        f"no forward pass. They may take ${summaries.LIMIT} GB (default {summaries.DEFAULT_LIMIT:g}); what was used "
        "longest ago goes first. Removing them loses no result.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ls | size | prune GB | verify")
    actions.add_parser("ls", help="every entry: when it was last used, its size, its key")
    actions.add_parser("size", help="how many there are and what they take")
    prune = actions.add_parser("prune", help="remove what was used longest ago until no more than GB are left")
    prune.add_argument("gigabytes", metavar="GB", type=float, help="0 removes all")
    verify = actions.add_parser(
        "verify",
        help="check every checksum, of results too; what is damaged is removed, and made again when needed",
    )
    verify.add_argument("output", metavar="output=FOLDER", nargs="?", default="output=results", help="of the results")
    arguments = parser.parse_args(given)
    folder = default_cache()
    if arguments.action == "ls":
        _list(folder)
    elif arguments.action == "size":
        _size(folder)
    elif arguments.action == "prune":
        _prune(folder, arguments.gigabytes)
    else:
        return _verify(folder, arguments.output)
    return 0


def _list(folder: Path) -> None:
    for entry in summaries.entries(folder):
        used = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.used))
        print(f"{used}  {entry.size / 1e6:10.3f} MB  {entry.name}")


def _size(folder: Path) -> None:
    kept = summaries.entries(folder)
    total, limit = sum(entry.size for entry in kept), summaries.size_limit()
    print(f"{len(kept)} layer summaries, {total / 1e9:.3f} GB of {limit / 1e9:g} GB allowed, in {folder / 'summaries'}")


def _prune(folder: Path, gigabytes: float) -> None:
    if not gigabytes >= 0:
        raise InputError(f"cache prune {gigabytes}: wanted a number of GB, at least 0, that may be left")
    removed = summaries.evict(folder, gigabytes * 1e9)
    print(f"removed {len(removed)} layer summaries, {sum(entry.size for entry in removed) / 1e9:.3f} GB")
    _size(folder)


def _verify(folder: Path, given: str) -> int:
    from engine.store import results

    name, _, output = given.partition("=")
    if name != "output" or not output:
        raise InputError(f"cache verify {given}: wanted output=FOLDER, of the results")
    of_summaries = _told("layer summaries", ((entry.path, wrong) for entry, wrong in summaries.verify(folder)))
    of_results = _told("tables of results", results.verify(Path(output) / STORE))
    if of_results:
        print("the same 'corticalign score' again makes the tables that were removed")
    return 1 if of_summaries or of_results else 0


def _told(kind: str, checked: Iterable[tuple[Path, str | None]]) -> int:
    """Prints what is damaged; returns how many."""
    count, damaged = 0, 0
    for path, wrong in checked:
        count += 1
        if wrong is not None:
            damaged += 1
            print(f"{path}: {wrong}")
    print(f"{count} {kind} read, {damaged} damaged")
    return damaged
